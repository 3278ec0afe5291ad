//! Shells in one line, for command lines: `72x22:550:53:17:delta@2026-01-01T00:00:00Z`.

use types::Epoch;

use super::WalkerShell;

/// The moment for which the angles of a line without its own hold, 2026-01-01T00:00:00Z: any would do, but always the same.
const EPOCH_DEFAULT: Epoch = Epoch::from_unix_ns(1_767_225_600_000_000_000);

/// How a line is to be written, for messages.
const FORM: &str = "must be PLANESxSLOTS:ALTITUDE_KM:INCLINATION_DEG[:PHASING[:star|delta]][@TIME], like 72x22:550:53:17";

impl WalkerShell {
    /// A shell from a line `PLANESxSLOTS:ALTITUDE_KM:INCLINATION_DEG[:PHASING[:star|delta]][@TIME]`: phasing 0, a full turn
    /// (delta) and 2026-01-01T00:00:00Z where the line does not say.
    ///
    /// # Errors
    /// What stands there and which rule it breaks, in one line.
    pub fn from_line(line: &str, name: &str) -> Result<Self, String> {
        let told = |what: &str, value: &str, rule: &str| format!("{what} {value:?} {rule}");
        let (shape, epoch) = match line.split_once('@') {
            None => (line, EPOCH_DEFAULT),
            Some((shape, at)) => (shape, Epoch::parse(at).map_err(|e| format!("time {e}"))?),
        };
        let parts: Vec<&str> = shape.split(':').map(str::trim).collect();
        let [counts, altitude, inclination, rest @ ..] = parts.as_slice() else {
            return Err(told("shell", line, FORM));
        };
        if 2 < rest.len() {
            return Err(told("shell", line, FORM));
        }
        let (planes, slots) =
            counts.split_once(['x', 'X']).ok_or_else(|| told("shell", line, FORM))?;
        let whole = |what: &str, text: &str| {
            text.trim().parse::<u32>().map_err(|_e| told(what, text, "must be a whole number"))
        };
        let number = |what: &str, text: &str| {
            text.parse::<f64>().map_err(|_e| told(what, text, "must be a number"))
        };
        let raan_span_deg = match rest.get(1) {
            None | Some(&"delta") => 360.0,
            Some(&"star") => 180.0,
            Some(other) => return Err(told("pattern", other, "must be star or delta")),
        };
        let shell = Self {
            name: name.to_owned(),
            planes: whole("planes", planes)?,
            slots: whole("slots", slots)?,
            altitude_km: number("altitude", altitude)?,
            inclination_deg: number("inclination", inclination)?,
            phasing: rest.first().map_or(Ok(0), |text| whole("phasing", text))?,
            raan_span_deg,
            epoch,
        };
        match shell.problems().first() {
            None => Ok(shell),
            Some((key, value, rule)) => Err(format!("{key} {value} {rule}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_a_shell() {
        let shell = WalkerShell::from_line("72x22:550:53:17", "w").unwrap();
        assert_eq!(
            (shell.planes, shell.slots, shell.phasing, shell.name.as_str()),
            (72, 22, 17, "w")
        );
        assert_eq!(
            (shell.altitude_km, shell.inclination_deg, shell.raan_span_deg),
            (550.0, 53.0, 360.0)
        );
        assert_eq!(shell.epoch, Epoch::parse("2026-01-01T00:00:00Z").unwrap());
        let star =
            WalkerShell::from_line(" 6 x 11 : 780.5 : 86.4 : 2 : star@2026-06-01T00:00:00Z", "i");
        let star = star.unwrap();
        assert_eq!((star.planes, star.slots, star.raan_span_deg), (6, 11, 180.0));
        assert_eq!(star.epoch, Epoch::parse("2026-06-01T00:00:00Z").unwrap());
        assert_eq!(WalkerShell::from_line("1x1:550:53", "w").unwrap().phasing, 0);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, told) in [
            ("", "shell \"\" must be PLANESxSLOTS"),
            ("72:550:53", "must be PLANESxSLOTS"),
            ("72x22:550:53:1:star:x", "must be PLANESxSLOTS"),
            ("72xy:550:53", "slots \"y\" must be a whole number"),
            ("-1x1:550:53", "planes \"-1\" must be a whole number"),
            ("72x22:high:53", "altitude \"high\" must be a number"),
            ("72x22:550:nan", "inclination_deg NaN must be 0 to 180"),
            ("72x22:550:53:72", "phasing 72 must be below the number of planes"),
            ("72x22:550:53:1:rosette", "pattern \"rosette\" must be star or delta"),
            ("72x22:550:53@now", "time \"now\" is not a time"),
            ("0x22:550:53", "planes 0 must be at least 1"),
        ] {
            let error = WalkerShell::from_line(line, "w").unwrap_err();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
