//! OMM as XML: an `ndm` with any number of `omm`, or one `omm`.
//!
//! The text is cut at its `omm` elements, and each is read by itself: a hundred thousand messages take the memory of one, and a
//! broken one does not spoil its neighbours.

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions};

use super::message::{Field, Message};
use super::place::{Mark, offset_of};
use crate::catalog::Sink;
use crate::elements::ElementError;
use scan::{Piece, Pieces};

mod scan;

/// The field of what is wrong with the text as XML.
const XML: &str = "xml";
/// Most elements, texts and comments of a message; a full one has about 200.
const NODES_MAX: u32 = 4096;

/// Reads the messages of a text.
pub(super) fn read(text: &str, sink: &mut dyn Sink) -> Result<(), ElementError> {
    let mut mark = Mark::BEGIN;
    let mut number = 0;
    let mut pieces = Pieces::new(text);
    while let Some(piece) = pieces.next() {
        match piece {
            Ok(piece) => {
                number += 1;
                mark = mark.on(text, piece.begin);
                sink.take(message(text, &pieces, &piece, mark).read(number))?;
            }
            Err(fault) => {
                let mark = mark.on(text, fault.at.max(mark.at));
                let excerpt: String = text[mark.at..].chars().take(40).collect();
                sink.take(Err(mark.wrong(XML, &excerpt, fault.rule)))?;
            }
        }
    }
    Ok(())
}

/// One `omm` as a message.
fn message<'a>(text: &'a str, pieces: &Pieces<'_>, piece: &Piece, begin: Mark) -> Message<'a> {
    let mut message = Message::new(text, begin);
    // The element that all stand in declares the name spaces.
    let (open, close) = pieces.wrapping();
    let whole = format!("{open}{}{close}", &text[piece.begin..piece.end]);
    let in_text = |at: usize| (piece.begin + at.saturating_sub(open.len())).min(piece.end);
    let options = ParsingOptions { nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    match Document::parse_with_options(&whole, options) {
        Ok(document) => fill(&mut message, document.root_element(), &in_text),
        Err(error) => {
            let place = error.pos();
            let column = usize::try_from(place.col).unwrap_or(usize::MAX).saturating_sub(1);
            let row = usize::try_from(place.row).unwrap_or(usize::MAX);
            let bytes =
                |line: &str| line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
            let at = in_text(offset_of(&whole, row, bytes));
            let reason = error.to_string();
            let reason = reason.split(" at ").next().unwrap_or_default();
            let mark = begin.on(text, at);
            if let Some(name) = written_name(&text[piece.begin..piece.end]) {
                let key = Cow::Borrowed("OBJECT_NAME");
                message.push(Field { key, at: None, text: Cow::Borrowed(name) });
            }
            let excerpt: String = text[at..].chars().take(40).collect();
            message.spoil(mark.wrong(XML, &excerpt, format!("must be well-formed XML: {reason}")));
        }
    }
    message
}

/// The name in an `omm` that is no XML, as it is written.
fn written_name(piece: &str) -> Option<&str> {
    let (_, rest) = piece.split_once("<OBJECT_NAME>")?;
    rest.split_once('<').map(|(name, _)| name.trim())
}

/// Takes each element that holds no other as a keyword.
fn fill(message: &mut Message<'_>, root: Node<'_, '_>, in_text: &dyn Fn(usize) -> usize) {
    for node in root.descendants().filter(Node::is_element) {
        if node.tag_name().name() == "omm" {
            let id = node.attribute("id").unwrap_or("CCSDS_OMM_VERS");
            let version = node.attribute("version").unwrap_or_default();
            let at = Some(in_text(node.range().start));
            let text = Cow::Owned(version.trim().to_owned());
            message.push(Field { key: Cow::Owned(id.to_owned()), at, text });
        }
        if node.children().any(|child| child.is_element()) {
            continue;
        }
        // Comments may stand between the parts of a text.
        let texts = || node.children().filter(Node::is_text);
        let mut text: String = texts().filter_map(|part| part.text()).collect();
        text.truncate(text.trim_end().len());
        if let Some(unit) = node.attribute("units") {
            text = format!("{text} [{unit}]");
        }
        let at = in_text(
            texts().find_map(|part| begin_of(root, part)).unwrap_or_else(|| node.range().start),
        );
        let key = Cow::Owned(node.tag_name().name().to_owned());
        message.push(Field { key, at: Some(at), text: Cow::Owned(text.trim().to_owned()) });
    }
}

/// Where a text begins after its blanks, which are counted as they are written; `None` where it says nothing.
///
/// What is written may be longer than what is said, such as `&#32;` or the end of a line in two bytes.
fn begin_of(root: Node<'_, '_>, part: Node<'_, '_>) -> Option<usize> {
    part.text().filter(|text| !text.trim().is_empty())?;
    let range = part.range();
    let written = &root.document().input_text()[range.clone()];
    Some(range.start + (written.len() - written.trim_start().len()))
}
