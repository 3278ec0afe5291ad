//! Messages that functions emit, from the call to the bus. They wait with their call and go out when it has committed: of a
//! call that fails, nothing is heard. A node that ends in between loses them: at most once.

use std::sync::Arc;

use protocol::report::Header;
use protocol::topic::TopicMessage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use types::{FunctionId, RunId};

use crate::state::GroupId;

/// Messages of all calls that wait to commit or to be sent: two calls that emit all they may.
const WAITING_KIB_MAX: usize = 32 * 1024;
/// Messages of one call and all that it calls, as the contract says.
pub const EMITS_MAX: usize = 64;

/// Where messages wait; clones are handles to the same.
#[derive(Clone, Debug)]
pub struct Topics {
    room: Arc<Semaphore>,
    committed: mpsc::UnboundedSender<Emission>,
}

/// A message of a call, and the room that it takes.
#[derive(Debug)]
pub struct Emission {
    group: GroupId,
    function: FunctionId,
    run: RunId,
    topic: String,
    body: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// An empty place to wait at, and its other end.
pub fn topics() -> (Topics, mpsc::UnboundedReceiver<Emission>) {
    // Bounded by the room that each message takes.
    let (committed, sent) = mpsc::unbounded_channel();
    (Topics { room: Arc::new(Semaphore::new(WAITING_KIB_MAX)), committed }, sent)
}

impl Topics {
    /// Takes a message that waits for its call; `None` while there is no room.
    pub fn take(
        &self,
        (group, run): (&GroupId, RunId),
        function: &FunctionId,
        (topic, body): (&str, Vec<u8>),
    ) -> Option<Emission> {
        let kib = u32::try_from(body.len() / 1024 + 1).ok()?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(kib).ok()?;
        Some(Emission {
            group: group.clone(),
            function: function.clone(),
            run,
            topic: topic.to_owned(),
            body,
            _room: room,
        })
    }

    /// The call has committed: its messages may be heard.
    pub fn commit(&self, emitted: Vec<Emission>) {
        for emission in emitted {
            if self.committed.send(emission).is_err() {
                tracing::warn!("messages of a call are lost: the agent ends");
            }
        }
    }
}

impl Emission {
    /// The message, and the room that it takes until it is sent.
    pub fn message(self, header: Header) -> (TopicMessage, OwnedSemaphorePermit) {
        let message = TopicMessage {
            header,
            workflow: self.group.workflow,
            task: self.group.task,
            function: self.function,
            run: self.run,
            topic: self.topic,
            body: self.body,
        };
        (message, self._room)
    }
}

#[cfg(test)]
mod tests {
    use types::{TaskId, WorkflowId};

    use super::*;

    #[test]
    fn what_waits_is_bounded_and_makes_room_when_it_goes() {
        let (topics, mut sent) = topics();
        let workflow = WorkflowId::new("w").unwrap();
        let group = GroupId { workflow, task: TaskId::new("t").unwrap() };
        let function = FunctionId::new("f").unwrap();
        let take = || topics.take((&group, RunId(1)), &function, ("alerts", vec![0; 256 * 1024]));
        let all: Vec<Emission> = std::iter::from_fn(take).collect();
        assert_eq!(all.len(), WAITING_KIB_MAX / 257);
        // Nothing is heard of a call that fails, and its room is free again.
        drop(all);
        assert!(sent.try_recv().is_err());
        let two = vec![take().unwrap(), take().unwrap()];
        topics.commit(two);
        assert_eq!(sent.try_recv().unwrap().topic, "alerts");
        drop(sent);
        assert_eq!(topics.room.available_permits(), WAITING_KIB_MAX);
    }
}
