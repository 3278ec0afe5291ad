//! What functions publish on topics. It is sent when the call that said it has committed, and at most once.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use types::{FunctionId, RunId, TaskId, WorkflowId};

use crate::codec::{Message, Schema};
use crate::manifest::is_topic;
use crate::report::Header;

/// Largest body of a message, in bytes.
pub const TOPIC_BODY_BYTES_MAX: usize = 256 * 1024;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicMessage {
    /// Who, when, and its number among the messages of this start.
    pub header: Header,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task that was called.
    pub task: TaskId,
    /// The function that said it: that of the task, or one that it called.
    pub function: FunctionId,
    /// The run that called.
    pub run: RunId,
    /// On which topic.
    pub topic: String,
    /// What is said.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl Message for TopicMessage {
    const SCHEMA: Schema = Schema::TopicMessage;
    const BYTES_MAX: usize = TOPIC_BODY_BYTES_MAX + 1024;

    fn validate(&self) -> Result<(), &'static str> {
        if !is_topic(&self.topic) {
            return Err("a topic is a label without empty segments");
        }
        let fits = self.body.len() <= TOPIC_BODY_BYTES_MAX;
        fits.then_some(()).ok_or("a message on a topic has at most 256 KiB")
    }
}
