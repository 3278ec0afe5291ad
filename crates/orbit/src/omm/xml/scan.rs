//! Cuts a text at its `omm` elements, with no more XML than that takes.

/// Deepest nesting around messages: `ndm` in some wrapper of a service.
const DEPTH_MAX: usize = 16;

/// An `omm` element with both its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// What does not read on, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) rule: String,
}

/// The pieces of a text, one after the other; after a fault that leaves nothing to go on with, no more.
#[derive(Debug)]
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
    /// The names of the elements around the messages.
    around: Vec<&'a str>,
    /// The first of them with its declarations.
    root: &'a str,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    Empty,
}

#[derive(Clone, Copy, Debug)]
struct Tag<'a> {
    name: &'a str,
    kind: Kind,
    begin: usize,
    end: usize,
}

impl Tag<'_> {
    /// The name without the name space.
    fn local(&self) -> &str {
        self.name.rsplit_once(':').map_or(self.name, |(_, local)| local)
    }
}

impl<'a> Pieces<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, around: Vec::new(), root: "", done: false }
    }

    /// The tags to put around a piece, so that its name spaces are declared.
    pub(super) fn wrapping(&self) -> (&'a str, String) {
        match self.around.first() {
            None => ("", String::new()),
            Some(name) => (self.root, format!("</{name}>")),
        }
    }

    fn end(&mut self, at: usize, rule: impl Into<String>) -> Option<Result<Piece, Fault>> {
        self.done = true;
        Some(Err(Fault { at, rule: rule.into() }))
    }

    /// The next piece, or what is wrong.
    pub(super) fn next(&mut self) -> Option<Result<Piece, Fault>> {
        while !self.done {
            let tag = match self.tag() {
                Ok(Some(tag)) => tag,
                Ok(None) => return self.finish(),
                Err(fault) => return self.end(fault.at, fault.rule),
            };
            match (tag.kind, tag.local()) {
                (Kind::Open | Kind::Empty, "omm") => return self.piece(tag),
                (Kind::Empty, _) => {}
                (Kind::Open, local) => {
                    if self.around.is_empty() && local != "ndm" {
                        return self.end(tag.begin, "must be an 'omm' or an 'ndm' with some in it");
                    }
                    if DEPTH_MAX <= self.around.len() {
                        return self.end(tag.begin, "must not be nested deeper than 16 elements");
                    }
                    if self.around.is_empty() {
                        self.root = &self.text[tag.begin..tag.end];
                    }
                    self.around.push(tag.name);
                }
                (Kind::Close, _) => {
                    if self.around.pop() != Some(tag.name) {
                        return self.end(tag.begin, "must close the element that was opened last");
                    }
                }
            }
        }
        None
    }

    fn finish(&mut self) -> Option<Result<Piece, Fault>> {
        self.done = true;
        let rule = |name| format!("must not end here: '{name}' is not closed, the text is cut off");
        let open = self.around.last();
        open.map(|name| Err(Fault { at: self.text.len(), rule: rule(name) }))
    }

    /// From the tag of an `omm` to its end, or to where the next one begins without it.
    fn piece(&mut self, first: Tag<'a>) -> Option<Result<Piece, Fault>> {
        if first.kind == Kind::Empty {
            return Some(Ok(Piece { begin: first.begin, end: first.end }));
        }
        loop {
            let before = self.at;
            match self.tag() {
                Ok(Some(tag)) if tag.name == first.name && tag.kind == Kind::Close => {
                    return Some(Ok(Piece { begin: first.begin, end: tag.end }));
                }
                Ok(Some(tag)) if tag.name == first.name => {
                    self.at = before;
                    let rule = "must end with its closing tag before the next one begins";
                    return Some(Err(Fault { at: first.begin, rule: rule.to_owned() }));
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    let rule = "must end with its closing tag: the text is cut off";
                    return self.end(first.begin, rule);
                }
                Err(fault) => return self.end(fault.at, fault.rule),
            }
        }
    }

    /// The next tag; steps over comments, sections of characters and instructions.
    fn tag(&mut self) -> Result<Option<Tag<'a>>, Fault> {
        loop {
            let rest = &self.text[self.at..];
            let Some(offset) = rest.find('<') else { return Ok(None) };
            let (begin, rest) = (self.at + offset, &rest[offset..]);
            let over = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
            match over.iter().find(|(open, _)| rest.starts_with(open)) {
                Some((open, close)) => {
                    let cut = || Fault { at: begin, rule: format!("must end with '{close}'") };
                    let inner = rest[open.len()..].find(close).ok_or_else(cut)?;
                    self.at = begin + open.len() + inner + close.len();
                }
                None if rest.starts_with("<!") => {
                    let rule = "must not declare a document type or entities".to_owned();
                    return Err(Fault { at: begin, rule });
                }
                None => return self.element(begin).map(Some),
            }
        }
    }

    fn element(&mut self, begin: usize) -> Result<Tag<'a>, Fault> {
        let rest = &self.text[begin..];
        let cut = || Fault { at: begin, rule: "must end with '>': the text is cut off".to_owned() };
        let length = tag_length(rest).ok_or_else(cut)?;
        self.at = begin + length;
        let inner = &rest[1..length - 1];
        let (inner, kind) = match (inner.strip_prefix('/'), inner.strip_suffix('/')) {
            (Some(inner), _) => (inner, Kind::Close),
            (None, Some(inner)) => (inner, Kind::Empty),
            (None, None) => (inner, Kind::Open),
        };
        let name = inner.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        Ok(Tag { name, kind, begin, end: self.at })
    }
}

/// Bytes up to the '>' that ends a tag: one in quotes does not.
fn tag_length(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => return Some(at + 1),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<Result<&str, usize>> {
        let mut pieces = Pieces::new(text);
        let next = || pieces.next();
        std::iter::from_fn(next)
            .map(|piece| piece.map(|p| &text[p.begin..p.end]).map_err(|fault| fault.at))
            .collect()
    }

    #[test]
    fn messages_are_found_wherever_they_stand() {
        assert_eq!(cut("<?xml v=\"<omm>\"?><omm a='>'>1</omm>"), [Ok("<omm a='>'>1</omm>")]);
        let two = "<ndm><!-- <omm> --><omm>1</omm><COMMENT>x</COMMENT><omm>2</omm></ndm>\n";
        assert_eq!(cut(two), [Ok("<omm>1</omm>"), Ok("<omm>2</omm>")]);
        assert_eq!(cut("<n:ndm><n:omm><![CDATA[</n:omm>]]></n:omm></n:ndm>").len(), 1);
        assert_eq!(cut("<ndm/>"), []);
        assert_eq!(cut(""), []);
    }

    #[test]
    fn what_is_cut_off_or_crossed_is_said_where_it_is() {
        assert_eq!(cut("<ndm><omm>1</omm>"), [Ok("<omm>1</omm>"), Err(17)]);
        assert_eq!(cut("<ndm><omm>1"), [Err(5)]);
        assert_eq!(cut("<ndm><omm>1</om"), [Err(11)]);
        assert_eq!(cut("<ndm><omm>1<omm>2</omm></ndm>"), [Err(5), Ok("<omm>2</omm>")]);
        assert_eq!(cut("<ndm></omm></ndm>"), [Err(5)]);
        assert_eq!(cut("<opm></opm>"), [Err(0)]);
        assert_eq!(cut("<!DOCTYPE x><omm/>"), [Err(0)]);
        assert_eq!(cut("<ndm><!-- "), [Err(5)]);
        assert_eq!(cut(&"<ndm>".repeat(20)), [Err(16 * 5)]);
    }
}
