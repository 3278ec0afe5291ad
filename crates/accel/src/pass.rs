//! One pass over the payloads of a component and all that is nested in it: bounds, validates, counts.

use core::ops::Range;

use wasmparser::{
    BinaryReader, ComponentExportSectionReader, ComponentExternalKind,
    ComponentImportSectionReader, ComponentType, ComponentTypeRef, ComponentTypeSectionReader,
    CompositeInnerType, CoreType, CoreTypeSectionReader, ElementItems, ElementSectionReader,
    Encoding, ExportSectionReader, FuncValidatorAllocations, ImportSectionReader, Imports, Payload,
    SubType, TypeRef, ValidPayload, Validator,
};

use crate::body;
use crate::contract;
use crate::facts::{ModuleFacts, ModuleKind};
use crate::inspect::{FEATURES, InspectError};
use crate::limits::{Quantity, ScanLimits};

type Result<T, E = InspectError> = core::result::Result<T, E>;

/// How a group of types that refer to each other begins.
const REC_GROUP: u8 = 0x4e;

/// A pass under way.
pub(crate) struct Pass<'a> {
    /// All that is read.
    bytes: &'a [u8],
    limits: &'a ScanLimits,
    facts: ModuleFacts,
    validator: Validator,
    allocations: FuncValidatorAllocations,
    /// How many functions each open module or component imports, outermost first.
    open: Vec<u32>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(bytes: &'a [u8], limits: &'a ScanLimits) -> Self {
        Self {
            bytes,
            limits,
            facts: ModuleFacts::default(),
            validator: Validator::new_with_features(FEATURES),
            allocations: FuncValidatorAllocations::default(),
            open: Vec::new(),
        }
    }

    pub(crate) fn into_facts(self) -> ModuleFacts {
        self.facts
    }

    /// Bounds first, then validates: a count is refused before anything is made of it.
    pub(crate) fn payload(&mut self, payload: &Payload<'_>) -> Result<()> {
        self.bound(payload)?;
        match self.validator.payload(payload)? {
            ValidPayload::Func(function, body) => {
                let imported = self.open.last().copied().unwrap_or_default();
                let validator = function.into_validator(core::mem::take(&mut self.allocations));
                self.allocations =
                    body::read(&body, validator, imported, self.limits, &mut self.facts)?;
            }
            ValidPayload::End(_) => {
                self.open.pop();
            }
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
        Ok(())
    }

    fn bound(&mut self, payload: &Payload<'_>) -> Result<()> {
        let (limits, facts) = (self.limits, &mut self.facts);
        let items = match payload {
            Payload::Version { encoding, .. } => return self.begin(*encoding),
            Payload::TypeSection(section) => {
                groups(self.bytes, section.range(), limits)?;
                limits.add(Quantity::Types, &mut facts.types, section.count())?;
                return section.clone().into_iter().try_for_each(|group| {
                    group?.types().try_for_each(|ty| function_type(limits, ty))
                });
            }
            Payload::ImportSection(section) => return self.core_imports(section),
            Payload::FunctionSection(section) => {
                return Ok(limits.add(
                    Quantity::Functions,
                    &mut facts.functions,
                    section.count(),
                )?);
            }
            Payload::TableSection(section) => {
                limits.add(Quantity::Tables, &mut facts.tables, section.count())?;
                return section.clone().into_iter().try_for_each(|table| {
                    limits.check(Quantity::TableElements, table?.ty.initial)?;
                    Ok(())
                });
            }
            Payload::MemorySection(section) => {
                limits.add(Quantity::Memories, &mut facts.memories, section.count())?;
                return section.clone().into_iter().try_for_each(|memory| {
                    let pages = facts.memory_pages_min.saturating_add(memory?.initial);
                    facts.memory_pages_min = limits.check(Quantity::MemoryPages, pages)?;
                    Ok(())
                });
            }
            Payload::GlobalSection(section) => {
                return Ok(limits.add(Quantity::Globals, &mut facts.globals, section.count())?);
            }
            Payload::ExportSection(section) => return self.core_exports(section),
            Payload::ElementSection(section) => return self.elements(section),
            Payload::DataSection(section) => {
                limits.add(Quantity::DataSegments, &mut facts.data_segments, section.count())?;
                return section.clone().into_iter().try_for_each(|segment| {
                    facts.data_bytes += segment?.data.len() as u64;
                    Ok(())
                });
            }
            Payload::CoreTypeSection(section) => return self.core_types(section),
            Payload::ComponentTypeSection(section) => return self.component_types(section),
            Payload::ComponentImportSection(section) => return self.component_imports(section),
            Payload::ComponentExportSection(section) => return self.component_exports(section),
            Payload::InstanceSection(section) => section.count(),
            Payload::ComponentInstanceSection(section) => section.count(),
            Payload::ComponentAliasSection(section) => section.count(),
            Payload::ComponentCanonicalSection(section) => section.count(),
            Payload::ComponentStartSection { .. } => 1,
            // Nothing in the others grows with what is made of them, or the validator refuses them.
            _ => 0,
        };
        Ok(limits.add(Quantity::ComponentItems, &mut facts.component_items, items)?)
    }

    fn begin(&mut self, encoding: Encoding) -> Result<()> {
        let (limits, facts) = (self.limits, &mut self.facts);
        limits.check(Quantity::Nesting, self.open.len() as u64)?;
        let kind = match encoding {
            Encoding::Module => ModuleKind::Core,
            Encoding::Component => ModuleKind::Component,
        };
        if self.open.is_empty() {
            facts.kind = kind;
        } else if kind == ModuleKind::Component {
            limits.add(Quantity::Components, &mut facts.components, 1)?;
        }
        if kind == ModuleKind::Core {
            limits.add(Quantity::Modules, &mut facts.modules, 1)?;
        }
        self.open.push(0);
        Ok(())
    }

    fn is_outermost(&self) -> bool {
        self.open.len() == 1
    }

    fn core_imports(&mut self, section: &ImportSectionReader<'_>) -> Result<()> {
        self.limits.add(Quantity::Names, &mut self.facts.names, section.count())?;
        for imports in section.clone() {
            // The groups of the compact encoding are a feature that is off.
            let Imports::Single(_, import) = imports? else { continue };
            if self.is_outermost() {
                let name = format!("{}.{}", import.module, import.name);
                self.facts.unknown_imports.insert(name.clone());
                self.facts.imports.insert(name);
            }
            if let (TypeRef::Func(_), Some(imported)) = (import.ty, self.open.last_mut()) {
                *imported += 1;
            }
        }
        Ok(())
    }

    fn core_exports(&mut self, section: &ExportSectionReader<'_>) -> Result<()> {
        self.limits.add(Quantity::Names, &mut self.facts.names, section.count())?;
        if self.is_outermost() {
            for export in section.clone() {
                self.facts.exports.insert(export?.name.to_owned());
            }
        }
        Ok(())
    }

    fn elements(&mut self, section: &ElementSectionReader<'_>) -> Result<()> {
        self.limits.add(Quantity::Elements, &mut self.facts.elements, section.count())?;
        for segment in section.clone() {
            let items = match segment?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            self.limits.add(Quantity::Elements, &mut self.facts.elements, items)?;
        }
        Ok(())
    }

    fn core_types(&mut self, section: &CoreTypeSectionReader<'_>) -> Result<()> {
        groups(self.bytes, section.range(), self.limits)?;
        self.limits.add(Quantity::Types, &mut self.facts.types, section.count())?;
        for ty in section.clone() {
            match ty? {
                CoreType::Rec(group) => {
                    group.types().try_for_each(|ty| function_type(self.limits, ty))?;
                }
                CoreType::Module(declarations) => self.declarations(declarations.len())?,
            }
        }
        Ok(())
    }

    fn component_types(&mut self, section: &ComponentTypeSectionReader<'_>) -> Result<()> {
        groups(self.bytes, section.range(), self.limits)?;
        self.limits.add(Quantity::Types, &mut self.facts.types, section.count())?;
        for ty in section.clone() {
            match ty? {
                ComponentType::Component(inner) => self.declarations(inner.len())?,
                ComponentType::Instance(inner) => self.declarations(inner.len())?,
                ComponentType::Defined(_)
                | ComponentType::Func(_)
                | ComponentType::Resource { .. } => {}
            }
        }
        Ok(())
    }

    fn declarations(&mut self, count: usize) -> Result<()> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(self.limits.add(Quantity::Types, &mut self.facts.types, count)?)
    }

    fn component_imports(&mut self, section: &ComponentImportSectionReader<'_>) -> Result<()> {
        self.limits.add(Quantity::Names, &mut self.facts.names, section.count())?;
        if self.is_outermost() {
            for import in section.clone() {
                let import = import?;
                // Names with a suffix of a version are of a feature that is not on.
                let name = import.name.name;
                let is_interface = matches!(import.ty, ComponentTypeRef::Instance(_));
                if !(is_interface && contract::offers(name)) {
                    self.facts.unknown_imports.insert(name.to_owned());
                }
                self.facts.imports.insert(name.to_owned());
            }
        }
        Ok(())
    }

    fn component_exports(&mut self, section: &ComponentExportSectionReader<'_>) -> Result<()> {
        self.limits.add(Quantity::Names, &mut self.facts.names, section.count())?;
        if self.is_outermost() {
            for export in section.clone() {
                let export = export?;
                let name = export.name.name;
                let is_interface = export.kind == ComponentExternalKind::Instance;
                self.facts.has_handler |= is_interface && name == contract::HANDLER;
                self.facts.exports.insert(name.to_owned());
            }
        }
        Ok(())
    }
}

/// Refuses groups of more types than a component may have, before the parser meets them: it believes the number and makes
/// room at once, 96 MB for 17 bytes. Where a group begins within a type only the parser knows, so every byte that could begin
/// one counts. What looks alike and is none is a name in the type of a module that is not ASCII, which no tool makes.
fn groups(bytes: &[u8], section: Range<usize>, limits: &ScanLimits) -> Result<()> {
    let section = bytes.get(section).unwrap_or_default();
    for (at, _) in section.iter().enumerate().filter(|(_, byte)| **byte == REC_GROUP) {
        let rest = section.get(at + 1..).unwrap_or_default();
        if let Ok(types) = BinaryReader::new(rest, 0).read_var_u32() {
            limits.check(Quantity::Types, u64::from(types))?;
        }
    }
    Ok(())
}

fn function_type(limits: &ScanLimits, ty: &SubType) -> Result<()> {
    if let CompositeInnerType::Func(function) = &ty.composite_type.inner {
        let values = function.params().len() + function.results().len();
        limits.check(Quantity::TypeValues, values as u64)?;
    }
    Ok(())
}
