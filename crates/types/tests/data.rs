//! Labels of regions, and the order of classes.

use types::{DataClass, Region};

#[test]
fn a_region_follows_the_rule_of_labels() {
    for good in ["eu", "EU", "at/vienna", "x".repeat(64).as_str()] {
        assert!(Region::new(good).is_ok(), "{good}");
    }
    for bad in ["", "*", "e u", "é", "x".repeat(65).as_str()] {
        assert!(Region::new(bad).is_err(), "{bad}");
    }
    let message = Region::new("*").unwrap_err().to_string();
    assert!(message.starts_with("label \"*\" is not 1 to 64 characters"), "{message}");
}

#[test]
fn classes_rise_from_what_everybody_may_see() {
    let all =
        [DataClass::Public, DataClass::Internal, DataClass::Confidential, DataClass::Restricted];
    assert!(all.is_sorted());
    assert_eq!(DataClass::default(), DataClass::Internal);
}
