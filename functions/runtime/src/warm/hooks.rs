//! The hooks of a function that may be kept: where they are is found when it is loaded.

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Instance, Type, TypedFunc};
use wasmtime::{Error, Result, Store};

use crate::context::Context;

/// Where the hooks of a component are.
#[derive(Clone)]
pub(crate) struct HookPlaces {
    suspend: ComponentExportIndex,
    resume: ComponentExportIndex,
}

/// The hooks of an instance.
pub(crate) struct Hooks {
    /// Says what is to be remembered.
    pub(crate) suspend: TypedFunc<(), (Vec<u8>,)>,
    /// Takes up what was remembered.
    pub(crate) resume: TypedFunc<(Vec<u8>,), ()>,
}

impl HookPlaces {
    /// Those of a component; `None` if it has none.
    ///
    /// # Errors
    /// Which hook is missing or has another type than the contract's.
    pub(crate) fn of(component: &Component) -> Result<Option<Self>> {
        let lifecycle = accel::contract::LIFECYCLE;
        let Some((_, interface)) = component.get_export(None, lifecycle) else { return Ok(None) };
        let find = |name: &str, has_type: fn(&ComponentFunc) -> bool| match component
            .get_export(Some(&interface), name)
        {
            Some((ComponentItem::ComponentFunc(hook), place)) if has_type(&hook) => Ok(place),
            _ => Err(Error::msg(format!("{lifecycle} has no {name} of the contract's type"))),
        };
        let suspend = find("suspend", |hook| {
            hook.params().len() == 0 && hook.results().map(|ty| is_bytes(&ty)).eq([true])
        })?;
        let resume = find("resume", |hook| {
            hook.results().len() == 0 && hook.params().map(|(_, ty)| is_bytes(&ty)).eq([true])
        })?;
        Ok(Some(Self { suspend, resume }))
    }

    /// Those of an instance of it.
    pub(crate) fn find(&self, store: &mut Store<Context>, instance: &Instance) -> Result<Hooks> {
        let suspend = instance.get_typed_func(&mut *store, self.suspend)?;
        let resume = instance.get_typed_func(&mut *store, self.resume)?;
        Ok(Hooks { suspend, resume })
    }
}

fn is_bytes(ty: &Type) -> bool {
    matches!(ty, Type::List(list) if list.ty() == Type::U8)
}
