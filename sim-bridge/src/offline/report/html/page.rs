//! The page itself: what is put where, in what type, and how names of others are kept from being markup.

use std::fmt;

use super::gather::Gathered;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A page under way.
#[derive(Debug)]
pub(super) struct Page(String);

/// A number on top of the page: what it is, the number, a word on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// What it is.
    pub(super) label: &'static str,
    /// The number with its unit.
    pub(super) value: String,
    /// A word on it.
    pub(super) note: String,
}

impl Page {
    /// A page with this title.
    pub(super) fn new(title: &str) -> Self {
        let mut page = Self(String::with_capacity(1 << 20));
        // The policy keeps the promise: nothing from elsewhere, whatever a name holds.
        page.put(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{} · Starbelt simulation</title>\n<style>\n{STYLE}</style></head><body><main>\n",
            escaped(title)
        ));
        page
    }

    /// Appends markup; text of others goes through [`escaped`] first.
    pub(super) fn put(&mut self, markup: fmt::Arguments<'_>) {
        fmt::Write::write_fmt(&mut self.0, markup).expect("a String takes everything");
    }

    /// The head line of the run.
    pub(super) fn header(&mut self, run: &Gathered) {
        let head = &run.head;
        self.put(format_args!(
            "<header><p class=\"kicker\">Starbelt simulation</p><h1>{}</h1>\n\
             <p class=\"lead\">Model <b>{}</b> · from <b>{}</b> · {} steps of {} s</p></header>\n",
            escaped(&head.scenario),
            escaped(&head.model),
            head.start,
            run.steps,
            head.step_s
        ));
    }

    /// A row of numbers.
    pub(super) fn tiles(&mut self, tiles: &[Tile]) {
        self.put(format_args!("<ul class=\"tiles\">"));
        for Tile { label, value, note } in tiles {
            self.put(format_args!(
                "<li><span>{label}</span><b>{}</b><small>{}</small></li>",
                escaped(value),
                escaped(note)
            ));
        }
        self.put(format_args!("</ul>\n"));
    }

    /// Begins a part of the page.
    pub(super) fn section(&mut self, title: &str, lead: &str) {
        self.put(format_args!("<section><h2>{}</h2><p>{}</p>\n", escaped(title), escaped(lead)));
    }

    /// Ends it.
    pub(super) fn end_section(&mut self) {
        self.put(format_args!("</section>\n"));
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        self.put(format_args!(
            "<footer>Written by starbelt-sim {}. Land: Natural Earth, public domain.</footer>\n\
             </main><div id=\"tip\" hidden></div>\n<script>\n{SCRIPT}</script></body></html>\n",
            env!("CARGO_PKG_VERSION")
        ));
        self.0
    }
}

/// Text as text, whatever it holds, inside of elements and of attributes in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Browsers would not show them, and some refuse them.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_become_markup() {
        let name = "<script>alert('x')</script> \"&\u{7}";
        let expected = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &quot;&amp;\u{fffd}";
        assert_eq!(escaped(name), expected);
        let page = Page::new(name).finish();
        assert!(page.contains(expected) && !page.contains("<script>alert"));
    }
}
