//! What the pass finds in components made from text, and what it refuses.

use accel::{
    InspectError, ModuleFacts, ModuleKind, OverLimit, Quantity, ScanLimits, inspect, scan,
};
use types::ExecutionMode;

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text of a test is well-formed")
}

/// A component that keeps the contract, around the fields of one core module.
fn function(fields: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(component
            (import "starbelt:function/state@0.2.0" (instance))
            (core module $m {fields})
            (instance $handler)
            (export "starbelt:function/handler@0.2.0" (instance $handler)))"#
    ))
}

fn facts(fields: &str) -> ModuleFacts {
    inspect(&function(fields), &ScanLimits::AGENT).expect("within the limits")
}

#[test]
fn nested_modules_and_components_are_counted() {
    let facts = inspect(
        &wasm(
            r#"(component
                (import "starbelt:function/state@0.2.0" (instance))
                (import "starbelt:function/types@0.2.0" (instance))
                (core module (memory 3) (table 5 funcref) (global i32 (i32.const 1))
                    (func (local i32 i64 f32)) (func (local f64))
                    (elem (i32.const 0) func 0 1) (data (i32.const 0) "four"))
                (component (core module (memory 1) (func)) (component))
                (instance $handler)
                (export "starbelt:function/handler@0.2.0" (instance $handler)))"#,
        ),
        &ScanLimits::AGENT,
    )
    .expect("within the limits");
    assert_eq!((facts.modules, facts.components, facts.functions), (2, 2, 3));
    assert_eq!((facts.memories, facts.memory_pages_min, facts.tables), (2, 4, 1));
    assert_eq!((facts.globals, facts.elements), (1, 3));
    assert_eq!((facts.data_segments, facts.data_bytes), (1, 4));
    assert_eq!((facts.locals_max, facts.locals_total), (3, 4));
    assert!(facts.has_handler && facts.unknown_imports.is_empty());
    assert_eq!(facts.imports.len(), 2);
    assert_eq!(facts.exports.len(), 1);
}

#[test]
fn instructions_weigh_by_the_loops_around_them() {
    let mix = facts(
        "(memory 1)
         (func $f (param f32) (result f32)
            (loop (loop (local.set 0 (f32.mul (local.get 0) (f32.load (i32.const 0))))))
            (f32.add (local.get 0) (f32.const 1)))
         (func (call $f (f32.const 0)) (drop)
            (drop (f32x4.add (v128.load (i32.const 0)) (v128.load (i32.const 16)))))",
    )
    .mix;
    assert_eq!((mix.float_ops, mix.vector_ops, mix.memory_ops), (2, 3, 3));
    assert_eq!((mix.loops, mix.loop_depth_max, mix.calls), (2, 2, 1));
    // One multiplication below two loops, one addition outside, one of four lanes.
    assert_eq!(mix.weighted_flops, 100 + 1 + 4);
    assert_eq!(mix.weighted_bytes, 100 * 4 + 2 * 16);
}

#[test]
fn calls_of_imports_are_told_from_calls_within() {
    let module =
        r#"(module (import "host" "f" (func $f)) (func $g (call $f) (call $f) (call $g)))"#;
    let facts = scan(&wasm(module), &ScanLimits::AGENT).expect("within the limits");
    assert_eq!((facts.mix.import_calls, facts.mix.calls), (2, 1));
    assert_eq!(facts.kind, ModuleKind::Core);
    assert_eq!(facts.unknown_imports.iter().next().map(String::as_str), Some("host.f"));
}

#[test]
fn every_function_of_this_contract_stays_on_the_processor() {
    let identified = accel::identify(&facts("(func)"));
    assert_eq!(identified.mode, ExecutionMode::Cpu);
    assert!(identified.reason.contains("1 instructions"), "{}", identified.reason);
}

#[test]
fn equal_bytes_give_equal_facts() {
    let bytes = function("(memory 1) (func (drop (i32.load (i32.const 0))))");
    let look = || inspect(&bytes, &ScanLimits::AGENT);
    assert_eq!(look(), look());
}

#[track_caller]
fn check_refused(bytes: &[u8], is_expected: impl Fn(&InspectError) -> bool) {
    match inspect(bytes, &ScanLimits::AGENT) {
        Err(error) if is_expected(&error) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_component_is_refused() {
    check_refused(b"", |error| *error == InspectError::Empty);
    check_refused(b"hello world", |error| matches!(error, InspectError::Malformed { at: 0, .. }));
    check_refused(&wasm("(module)"), |error| *error == InspectError::CoreModule);
    let good =
        wasm(r#"(component (instance) (export "starbelt:function/handler@0.2.0" (instance 0)))"#);
    for length in 1..good.len() {
        assert!(inspect(&good[..length], &ScanLimits::AGENT).is_err(), "{length}");
    }
}

#[test]
fn what_does_not_keep_the_contract_is_refused_by_name() {
    let text = r#"(component
        (import "wasi:sockets/tcp@0.2.0" (instance))
        (import "starbelt:function/state@0.9.0" (instance))
        (import "starbelt:function/node@0.2.0" (instance)))"#;
    check_refused(&wasm(text), |error| {
        let names = ["starbelt:function/state@0.9.0", "wasi:sockets/tcp@0.2.0"];
        *error == InspectError::UnknownImports(names.map(str::to_owned).to_vec())
    });
    // The name of an interface, but no interface.
    let text = r#"(component (import "starbelt:function/node@0.2.0" (func)))"#;
    check_refused(&wasm(text), |error| matches!(error, InspectError::UnknownImports(_)));
    let text = r#"(component (instance $i) (export "test:other/handler@0.1.0" (instance $i)))"#;
    check_refused(&wasm(text), |error| error.to_string().contains("test:other/handler@0.1.0"));
}

#[test]
fn features_that_are_off_are_refused() {
    for fields in [
        "(memory i64 1)",
        "(memory 1 1 shared)",
        "(memory 1) (memory 1)",
        "(tag)",
        "(type (struct))",
        "(func (param externref))",
        "(func $f (return_call $f))",
        "(func (param v128) (result v128) (f32x4.relaxed_min (local.get 0) (local.get 0)))",
    ] {
        check_refused(&function(fields), |error| matches!(error, InspectError::Malformed { .. }));
    }
}

#[test]
fn invalid_code_is_refused() {
    check_refused(
        &function("(func (result i32) (i64.const 1))"),
        |error| matches!(error, InspectError::Malformed { at, why } if 0 < *at && why.contains("type")),
    );
}

#[track_caller]
fn check_over(quantity: Quantity, bytes: &[u8]) {
    let limits = ScanLimits::AGENT;
    match inspect(bytes, &limits) {
        Err(InspectError::OverLimit(over)) => {
            assert_eq!((over.quantity, over.limit), (quantity, limits.of(quantity)));
            assert!(over.limit < over.value);
        }
        other => panic!("{quantity}: {other:?}"),
    }
}

#[test]
fn more_than_the_limits_is_refused() {
    let many = |item: &str, count: usize| function(&item.repeat(count));
    check_over(Quantity::Functions, &many("(func)", 100_000));
    check_over(Quantity::Types, &many("(type (func))", 2_001));
    check_over(Quantity::DataSegments, &many(r#"(data "x")"#, 4_097));
    check_over(Quantity::Globals, &many("(global i32 (i32.const 0))", 4_097));
    check_over(Quantity::Tables, &many("(table 0 funcref)", 17));
    check_over(Quantity::Names, &many(r#"(import "a" "b" (func))"#, 4_097));
    check_over(Quantity::TableElements, &function("(table 10001 funcref)"));
    check_over(Quantity::MemoryPages, &function("(memory 4097)"));
    let params = format!("(type (func (param {})))", "i32 ".repeat(129));
    check_over(Quantity::TypeValues, &function(&params));
    let items = format!("(func $f) (table 1 funcref) (elem func {})", "$f ".repeat(100_001));
    check_over(Quantity::Elements, &function(&items));
    let locals = format!("(func (local {}))", "i32 ".repeat(10_001));
    check_over(Quantity::Locals, &function(&locals));
    let locals = format!("(func (local {}))", "i32 ".repeat(10_000)).repeat(51);
    check_over(Quantity::LocalsTotal, &function(&locals));
    let nested = "(block (br_if 0 (i32.const 0)) ".repeat(5_000) + &")".repeat(5_000);
    check_over(Quantity::BlockDepth, &function(&format!("(func {nested})")));
    let long = format!("(func {})", "(drop (i32.const 1000))".repeat(70_000));
    check_over(Quantity::BodyBytes, &function(&long));
}

#[test]
fn more_of_what_components_hold_is_refused_too() {
    let many = |item: &str, count: usize| wasm(&format!("(component {})", item.repeat(count)));
    check_over(Quantity::Modules, &many("(core module)", 33));
    check_over(Quantity::Components, &many("(component)", 33));
    check_over(Quantity::Memories, &many("(core module (memory 1))", 3));
    check_over(Quantity::Types, &many("(type (func))", 2_001));
    let nested = "(component ".repeat(6) + &")".repeat(6);
    check_over(Quantity::Nesting, &wasm(&nested));
    let instances = format!(
        "(component (core module $m) {})",
        "(core instance (instantiate $m))".repeat(10_001)
    );
    check_over(Quantity::ComponentItems, &wasm(&instances));
}

#[test]
fn the_size_is_checked_first_and_differs_by_place() {
    let big = vec![0; 5 * 1024 * 1024];
    check_over(Quantity::Bytes, &big);
    let on_the_ground = inspect(&big, &ScanLimits::GROUND);
    assert!(matches!(on_the_ground, Err(InspectError::Malformed { .. })));
}

#[test]
fn an_error_states_value_and_limit() {
    let over = OverLimit { quantity: Quantity::Functions, value: 20_001, limit: 20_000 };
    assert_eq!(over.to_string(), "functions: 20001 are over the limit of 20000");
}

/// Found by the fuzz target `module`: the parser made room for all types of a group before it read one.
#[test]
fn a_group_of_more_types_than_allowed_is_refused_before_it_is_read() {
    // 999,999 types in 17 bytes, in a module and in a core type of a component.
    let group = [0x4e, 0xbf, 0x84, 0x3d];
    let module = [&b"\0asm\x01\0\0\0\x01\x07\x01"[..], &group, &[0x60, 0]].concat();
    let component = [&b"\0asm\x0d\0\x01\0\x03\x07\x01"[..], &group, &[0x60, 0]].concat();
    for bytes in [module, component] {
        let expected = OverLimit { quantity: Quantity::Types, value: 999_999, limit: 2_000 };
        assert_eq!(scan(&bytes, &ScanLimits::AGENT), Err(InspectError::OverLimit(expected)));
    }
}
