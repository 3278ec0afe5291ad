//! Guests from text. Names and signatures come from the contract itself, so that no guest has to be changed with it.

pub(crate) mod hand_over;

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{InterfaceId, Resolve, WorldId, WorldItem};

/// The guest contract.
pub(crate) struct Contract {
    resolve: Resolve,
    /// Of a function that is started for each call, and of one that may be kept.
    world: WorldId,
    stateful: WorldId,
}

impl Contract {
    /// Reads the only copy of it.
    ///
    /// # Errors
    /// When it does not parse.
    pub(crate) fn open() -> Result<Self> {
        let mut resolve = Resolve::default();
        let text = include_str!("../../wit/world.wit");
        let package = resolve.push_source("world.wit", text).context("the contract")?;
        let world = |name| resolve.select_world(&[package], Some(name)).context("the contract");
        let (world, stateful) = (world("function")?, world("stateful-function")?);
        Ok(Self { resolve, world, stateful })
    }

    /// A component whose handler does `body` (it has a local `$n`) and answers nothing, with `fields` in its module.
    ///
    /// # Errors
    /// When the text is no module.
    pub(crate) fn guest(&self, fields: &str, body: &str) -> Result<Vec<u8>> {
        self.guest_of(self.world, fields, body)
    }

    /// The same, which may be kept: it does nothing and remembers nothing.
    ///
    /// # Errors
    /// When the text is no module.
    pub(crate) fn kept_guest(&self) -> Result<Vec<u8>> {
        let mut fields = r#"(memory (export "memory") 1)"#.to_owned();
        for (name, body) in [("suspend", "(i32.const 64)"), ("resume", "")] {
            let (interface, signature) = self
                .function("lifecycle", name, AbiVariant::GuestExport)
                .with_context(|| format!("the contract has no {name}"))?;
            write!(fields, r#"(func (export "{interface}#{name}") {signature} {body})"#)?;
        }
        self.guest_of(self.stateful, &fields, "")
    }

    fn guest_of(&self, world: WorldId, fields: &str, body: &str) -> Result<Vec<u8>> {
        let (handler, signature) =
            self.function("handler", "handle", AbiVariant::GuestExport).context("a handler")?;
        let text = format!(
            r#"(module
                {fields}
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                (func (export "{handler}#handle") {signature} (local $n i32)
                    {body}
                    ;; Zeros lie there: a good answer of no bytes.
                    (i32.const 64)))"#
        );
        let mut module = wat::parse_str(text)?;
        let utf8 = StringEncoding::UTF8;
        embed_component_metadata(&mut module, &self.resolve, world, utf8, false)?;
        ComponentEncoder::default().module(&module)?.encode()
    }

    /// The import of a function of the host as `$name`, and a call of it with zeros.
    ///
    /// # Errors
    /// When the contract has no such function.
    pub(crate) fn import(&self, interface: &str, name: &str) -> Result<(String, String)> {
        let (module, signature) = self
            .function(interface, name, AbiVariant::GuestImport)
            .with_context(|| format!("the contract has no {interface}.{name}"))?;
        let zeros = signature.matches("i32").count();
        let import = format!(r#"(import "{module}" "{name}" (func ${name} {signature}))"#);
        Ok((import, format!("(call ${name} {})", "(i32.const 0)".repeat(zeros))))
    }

    fn function(
        &self,
        interface: &str,
        name: &str,
        variant: AbiVariant,
    ) -> Option<(String, String)> {
        let id = self.interface(interface)?;
        let function = self.resolve.interfaces[id].functions.get(name)?;
        let signature = self.resolve.wasm_signature(variant, function);
        let types =
            |types: &[WasmType]| types.iter().map(|ty| text_of(*ty)).collect::<Vec<_>>().join(" ");
        let mut text = format!("(param {})", types(&signature.params));
        if !signature.results.is_empty() {
            write!(text, " (result {})", types(&signature.results)).ok()?;
        }
        Some((self.resolve.id_of(id)?, text))
    }

    fn interface(&self, name: &str) -> Option<InterfaceId> {
        let world = &self.resolve.worlds[self.stateful];
        world.imports.iter().chain(&world.exports).find_map(|(_, item)| match item {
            WorldItem::Interface { id, .. } => {
                (self.resolve.interfaces[*id].name.as_deref() == Some(name)).then_some(*id)
            }
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        })
    }
}

fn text_of(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// 16 pages with 128 KiB of data behind the first.
pub(crate) fn memory_with_data() -> String {
    memory_with(128)
}

/// 16 pages with so much data behind the first.
pub(crate) fn memory_with(kib: usize) -> String {
    let data = "x".repeat(kib * 1024);
    format!(r#"(memory (export "memory") 16) (data (i32.const 65536) "{data}")"#)
}

/// Stores a byte in so many pages of 4 KiB.
pub(crate) fn touch(pages: u32) -> String {
    format!(
        "(loop $next
            (i32.store8 (i32.shl (local.get $n) (i32.const 12)) (i32.const 0))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (i32.const {pages}))))"
    )
}

/// So many functions of some 120 bytes that nobody calls.
pub(crate) fn ballast(functions: usize) -> String {
    let work =
        "(local.set 0 (i32.add (local.get 0) (i32.mul (local.get 0) (i32.const 3))))".repeat(12);
    format!("(func (param i32) (result i32) {work} (local.get 0))").repeat(functions)
}

/// Core modules that export `run: func(i32) -> i32`: what engines are compared by.
pub(crate) const CORE: [(&str, i32, &str); 6] = [
    ("fib", 27, include_str!("wat/fib.wat")),
    ("sieve", 400_000, include_str!("wat/sieve.wat")),
    ("matmul", 96, include_str!("wat/matmul.wat")),
    ("alu_loop", 2_000_000, include_str!("wat/alu_loop.wat")),
    ("memory_stream", 4, include_str!("wat/memory_stream.wat")),
    ("host_calls", 200_000, include_str!("wat/host_calls.wat")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_keep_the_contract() {
        let contract = Contract::open().unwrap();
        let (import, call) = contract.import("output", "log").unwrap();
        let fields = format!("{import} {} {}", memory_with_data(), ballast(10));
        for wasm in [
            contract.guest(&fields, &call).unwrap(),
            contract.guest(&memory_with_data(), &touch(16)).unwrap(),
        ] {
            let facts = accel::inspect(&wasm, &accel::ScanLimits::default()).unwrap();
            assert!(facts.has_handler && facts.unknown_imports.is_empty());
        }
        assert!(contract.import("output", "nothing").is_err());
    }
}
