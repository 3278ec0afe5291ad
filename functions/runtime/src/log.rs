//! The log of one call: bounded, one line at a time, nothing in it that moves a terminal.

/// Longest line, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of one call; every line costs one more than its text, so that empty lines end too.
pub(crate) const CALL_BYTES_MAX: usize = 64 * 1024;

/// What is left of the log of one call.
#[derive(Debug)]
pub(crate) struct LogBudget {
    left: usize,
    cut: bool,
}

impl LogBudget {
    pub(crate) fn new() -> Self {
        Self { left: CALL_BYTES_MAX, cut: false }
    }

    /// Whether anything was cut or left out.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut
    }

    /// The line as it may be logged, if there is room for any of it.
    pub(crate) fn admit(&mut self, message: &str) -> Option<String> {
        let room = LINE_BYTES_MAX.min(self.left.checked_sub(1).or_else(|| self.refuse())?);
        let mut line = String::with_capacity(message.len().min(room));
        for c in message.chars() {
            let length_before = line.len();
            if c.is_control() {
                line.extend(c.escape_default());
            } else {
                line.push(c);
            }
            if room < line.len() {
                line.truncate(length_before);
                self.cut = true;
                break;
            }
        }
        self.left -= line.len() + 1;
        Some(line)
    }

    fn refuse<T>(&mut self) -> Option<T> {
        self.cut = true;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let mut log = LogBudget::new();
        assert_eq!(log.admit("a\n\u{1b}[2Jé").as_deref(), Some("a\\n\\u{1b}[2Jé"));
        assert!(!log.was_cut());
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut log = LogBudget::new();
        let line = log.admit(&"é".repeat(LINE_BYTES_MAX)).unwrap();
        assert_eq!(line.len(), LINE_BYTES_MAX);
        assert!(log.was_cut());
    }

    #[test]
    fn a_call_logs_at_most_its_share() {
        let mut log = LogBudget::new();
        let lines: Vec<String> =
            std::iter::repeat_with(|| log.admit(&"x".repeat(1023))).take(100).flatten().collect();
        assert_eq!(lines.len(), 64);
        assert!(log.was_cut());
        assert_eq!(log.admit(""), None);
    }

    #[test]
    fn empty_lines_end_too() {
        let mut log = LogBudget::new();
        let lines = std::iter::repeat_with(|| log.admit("")).take_while(Option::is_some).count();
        assert_eq!(lines, CALL_BYTES_MAX);
    }
}
