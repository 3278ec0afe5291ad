//! Work on the store that must be done in order: records and roles.

use tokio::sync::mpsc;

use super::Ordered;
use crate::event::Input;
use crate::health::Pulse;
use crate::state::{GroupId, StateService};

/// Does store work in order, off the reactor.
pub(super) async fn in_order(
    state: StateService,
    inputs: mpsc::Sender<Input>,
    mut orders: mpsc::UnboundedReceiver<Ordered>,
    mut pulse: Pulse,
) {
    while let Some(order) = pulse.during(orders.recv()).await {
        if matches!(order, Ordered::End) {
            return;
        }
        let state = state.clone();
        let input = match tokio::task::spawn_blocking(move || done(&state, order)).await {
            Ok(input) => input,
            Err(error) => {
                tracing::error!(%error, "store work was lost");
                None
            }
        };
        if let Some(input) = input
            && pulse.during(inputs.send(input)).await.is_err()
        {
            return;
        }
    }
}

fn done(state: &StateService, order: Ordered) -> Option<Input> {
    match order {
        Ordered::Save { record, bytes } => {
            let result = state.save_record(&record.to_string(), &bytes);
            if let Err(error) = &result {
                tracing::error!(%record, %error, "record was not kept");
            }
            Some(Input::Saved { record, result: result.map_err(|error| error.to_string()) })
        }
        Ordered::Read(record) => match state.load_record(&record.to_string()) {
            Ok(bytes) => Some(Input::Read { record, bytes }),
            Err(error) => {
                tracing::error!(%record, %error, "record cannot be read");
                None
            }
        },
        Ordered::Role(spec) => {
            let group = GroupId { workflow: spec.workflow, task: spec.task };
            let result = state.set_role(&group, &spec.role, spec.replica);
            tracing::info!(%group, role = ?spec.role, ?result, "role");
            let status = state.group_status(&group);
            let result = result.map_err(|error| error.to_string());
            Some(Input::RoleTaken { group, result, status })
        }
        Ordered::NoRole(group) => {
            if let Err(error) = state.drop_role(&group) {
                tracing::error!(%group, %error, "role was not dropped");
            }
            None
        }
        Ordered::Keep(name, bytes) => {
            if let Err(error) = state.save_record(name, &bytes) {
                tracing::error!(name, %error, "record was not kept");
            }
            None
        }
        Ordered::End => None,
    }
}
