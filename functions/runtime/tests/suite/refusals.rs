//! What is no function of ours is refused before anything is compiled.

use std::error::Error;

use accel::{InspectError, Quantity};
use runtime::{Function, LoadError, Runtime, RuntimeConfig};

use crate::puppet::{Result, component, idle_guest, puppet};

fn load(wasm: &[u8]) -> Result<Function, LoadError> {
    Runtime::new(RuntimeConfig::default()).expect("an engine starts").load(wasm)
}

#[track_caller]
fn check(wasm: &[u8], is_expected: impl Fn(&InspectError) -> bool) {
    match load(wasm) {
        Err(LoadError::Inspect(error)) if is_expected(&error) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_component() -> Result {
    let good = puppet()?;
    check(b"", |error| *error == InspectError::Empty);
    check(b"\x7fELF\x02\x01\x01\0", |error| matches!(error, InspectError::Malformed { at: 0, .. }));
    for length in [4, 7, 9, 100, good.len() / 2, good.len() - 1] {
        check(&good[..length], |error| matches!(error, InspectError::Malformed { .. }));
    }
    // The header alone is a component that does nothing.
    check(&good[..8], |error| matches!(error, InspectError::NoHandler { .. }));
    check(&wat::parse_str("(module)")?, |error| *error == InspectError::CoreModule);
    Ok(())
}

#[test]
fn an_import_that_the_contract_does_not_offer() -> Result {
    let text = r#"(component
        (import "wasi:sockets/tcp@0.2.0" (instance))
        (import "starbelt:function/devices@0.2.0" (instance)))"#;
    check(&wat::parse_str(text)?, |error| {
        let names = ["starbelt:function/devices@0.2.0", "wasi:sockets/tcp@0.2.0"];
        *error == InspectError::UnknownImports(names.map(str::to_owned).to_vec())
    });
    Ok(())
}

#[test]
fn an_import_of_another_type_than_the_contracts() -> Result {
    let text = r#"(component
        (import "starbelt:function/sky@0.2.0" (instance (export "now" (func (result string)))))
        (instance $handler)
        (export "starbelt:function/handler@0.2.0" (instance $handler)))"#;
    match load(&wat::parse_str(text)?) {
        Err(LoadError::Contract { source }) => {
            let mut reasons = Vec::new();
            let mut reason: Option<&dyn Error> = Some(&*source);
            while let Some(error) = reason {
                reasons.push(error.to_string());
                reason = error.source();
            }
            assert!(reasons.iter().any(|text| text.contains("`now`")), "{reasons:?}");
            Ok(())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_handler_without_its_function() -> Result {
    let text = r#"(component
        (instance $handler)
        (export "starbelt:function/handler@0.2.0" (instance $handler)))"#;
    assert!(matches!(load(&wat::parse_str(text)?), Err(LoadError::Contract { .. })));
    Ok(())
}

#[test]
fn compile_bombs() -> Result {
    let memory = r#"(memory (export "memory") 1)"#;
    let over = |quantity| move |error: &InspectError| matches!(error, InspectError::OverLimit(over) if over.quantity == quantity);
    let functions = "(func)".repeat(100_000);
    check(&component(&idle_guest(&format!("{memory} {functions}")))?, over(Quantity::Functions));

    let nested = "(block (br_if 0 (i32.const 0)) ".repeat(5_000) + &")".repeat(5_000);
    let text = idle_guest(&format!("{memory} (func {nested})"));
    check(&component(&text)?, over(Quantity::BlockDepth));

    let sums = "(i32.add (i32.mul (local.get 0) (i32.const 3)))".repeat(150_000);
    let text =
        idle_guest(&format!("{memory} (func (param i32) (result i32) (i32.const 0) {sums})"));
    check(&component(&text)?, over(Quantity::BodyBytes));
    Ok(())
}

#[test]
fn a_table_over_its_limit() -> Result {
    let text = idle_guest(r#"(memory (export "memory") 1) (table 20000 funcref)"#);
    check(&component(&text)?, |error| match error {
        InspectError::OverLimit(over) => over.value == 20_000 && over.limit == 10_000,
        _ => false,
    });
    Ok(())
}
