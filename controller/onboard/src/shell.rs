//! Text for `sh`: what people gave becomes one word, whatever is in it.

/// One word of `sh`, quoted where it has to be.
pub fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command as a person would type it.
pub fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn whatever_is_in_a_word_sh_sees_that_word() {
        let hostile = "a'b\"c $(touch /tmp/x) `y` \\ \n ; & | * ~ # !";
        for word in ["", "plain-1.0/x", "two words", hostile, "'", "''", "-n", "$HOME"] {
            let script = format!("printf %s {}", quote(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
    }

    #[test]
    fn a_script_survives_two_shells() {
        let inner = format!("printf %s {}", quote("it's"));
        let outer = line(["sh", "-c", &inner]);
        let output = Command::new("sh").args(["-c", &outer]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's", "{outer}");
    }
}
