//! What a user says of a program: a name and a command.

use std::time::Duration;

use placement::policy::catalog;

/// For how long a program may think about a question unless the user says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Longest name: it stands in tables and keys of plots.
const NAME_BYTES_MAX: usize = 40;

/// A policy that is a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: String,
    command: String,
    arguments: Vec<String>,
    patience: Duration,
}

impl Program {
    /// Of `NAME=COMMAND`; the command is split as a shell does, but no shell runs it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("it is not NAME=COMMAND")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || NAME_BYTES_MAX < name.len() || !name.bytes().all(is_plain) {
            let rule = format!("1 to {NAME_BYTES_MAX} letters, digits, '-', '_' or '.'");
            return Err(format!("the name {name:?} is not {rule}"));
        }
        if name == "all" || catalog::NAMES.contains(&name) {
            return Err(format!("{name} is the name of a built-in policy; give it another"));
        }
        let mut words = shlex::split(command).ok_or("a quotation of its command has no end")?;
        if words.is_empty() {
            return Err("it has no command".to_owned());
        }
        let command = words.remove(0);
        Ok(Self { name: name.to_owned(), command, arguments: words, patience: PATIENCE })
    }

    /// The same with other patience.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Its name in results.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file to start, or its name in `PATH`.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// For how long it may think about a question, its own ones included.
    pub const fn patience(&self) -> Duration {
        self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_without_a_shell() {
        let program = Program::parse("mine=python3 'my policy.py' --k=3 $HOME").expect("good");
        assert_eq!((program.name(), program.command()), ("mine", "python3"));
        assert_eq!(program.arguments(), ["my policy.py", "--k=3", "$HOME"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("mine", "NAME=COMMAND"),
            ("=x", "the name \"\""),
            ("my policy=x", "the name \"my policy\""),
            ("<b>=x", "letters"),
            ("lookahead=x", "built-in"),
            ("all=x", "built-in"),
            ("mine=", "no command"),
            ("mine=x 'y", "quotation"),
        ] {
            let said = Program::parse(text).expect_err(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
