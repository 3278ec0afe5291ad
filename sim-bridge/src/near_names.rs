//! Names that somebody may have meant who wrote one that does not exist.

/// Names that are told when there is no such one.
const TOLD: usize = 3;

/// The known names that differ least from `name` (Levenshtein's distance, case aside), the nearest first.
pub fn near_names<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let apart = |known: &'a str| (strsim::levenshtein(&wanted, &known.to_lowercase()), known);
    let mut by_distance: Vec<(usize, &str)> = known.into_iter().map(apart).collect();
    by_distance.sort_unstable();
    by_distance.into_iter().take(TOLD).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_whatever_their_case() {
        let known = ["Graz", "Vienna", "GRASSE", "Honolulu"];
        assert_eq!(near_names(known, "graz"), ["Graz", "GRASSE", "Vienna"]);
        assert!(near_names([], "graz").is_empty());
    }
}
