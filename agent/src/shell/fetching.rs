//! Fetches ordered programs of the agent from the controller, piece by piece, in windows with room, over as many contacts and starts as it takes.

use std::sync::Arc;
use std::time::Duration;

use protocol::event::EventKind;
use protocol::module::{MODULE_CHUNK_BYTES, ModuleQuery};
use protocol::release::ProgramChunk;
use tokio::sync::{mpsc, oneshot};

use super::work::Work;
use crate::event::Input;
use crate::life::LifeBook;
use crate::life::book::{PartFile, Unfit};
use crate::life::slots::Order;
use crate::plan::{Departure, Outlook, PlanBook, room_bytes};

/// Pauses between two tries to get a piece.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Before a wait for a window is thought over, since there may be a newer plan.
const DEPARTURE_AGAIN: Duration = Duration::from_secs(5);
/// How often all of it may come and be other bytes before it is given up.
const OTHER_BYTES_MAX: u32 = 3;

/// What a task of the loop asks: which tasks are desired, and which run.
pub(super) type Standing = (Vec<String>, Vec<String>);
/// The way to ask.
pub(super) type AskStanding = mpsc::Sender<oneshot::Sender<Standing>>;

/// What fetching needs.
pub(super) struct Fetching {
    pub(super) work: Arc<Work>,
    pub(super) life: LifeBook,
    pub(super) plan: PlanBook,
    pub(super) standing: AskStanding,
}

/// Why fetching stopped before all was here.
enum Stopped {
    /// It is not ordered any more.
    NotWanted,
    /// It is no program to try.
    Refused(String),
    /// The disk failed: again later.
    Disk(String),
}

impl Fetching {
    /// Fetches whatever is ordered, for ever.
    pub(super) async fn run(self) {
        let mut pause = PAUSE_FIRST;
        while self.work.is_wanted() {
            let Some(order) = self.life.ordered() else {
                self.life.until_ordered().await;
                continue;
            };
            let (version, number) = (&order.program.version, order.program.number);
            match self.fetch(&order).await {
                Ok(()) => {
                    tracing::info!(version, number, "program is here: starting anew to try it");
                    return self.life.begin_anew();
                }
                Err(Stopped::NotWanted) => {}
                Err(Stopped::Refused(reason)) => {
                    tracing::error!(version, number, reason, "program refused");
                    let life = self.life.clone();
                    let refused = blocking(move || life.refuse(&order, &reason)).await;
                    match refused.map(|refused| refused.map_err(|error| error.to_string())) {
                        Ok(Ok(_)) => self.tell_end().await,
                        Ok(Err(error)) | Err(error) => self.wait(&mut pause, &error).await,
                    }
                }
                Err(Stopped::Disk(reason)) => self.wait(&mut pause, &reason).await,
            }
        }
    }

    async fn wait(&self, pause: &mut Duration, reason: &str) {
        tracing::error!(reason, "program is not kept; again later");
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(PAUSE_MAX);
    }

    /// Tells how the last update ended.
    async fn tell_end(&self) {
        if let Some(told) = self.life.untold() {
            self.work.tell(Input::Happened(told)).await;
            let life = self.life.clone();
            if let Ok(Err(error)) = blocking(move || life.told()).await {
                tracing::warn!(%error, "what was told will be told again");
            }
        }
    }

    async fn fetch(&self, order: &Order) -> Result<(), Stopped> {
        let mut part = self.open(order).await?;
        let mut other_bytes = 0;
        let mut pause = PAUSE_FIRST;
        loop {
            while !part.is_whole() {
                self.depart(order, part.have()).await?;
                match self.piece(order, part.have()).await {
                    Ok(bytes) => {
                        part = add(part, bytes).await?;
                        pause = PAUSE_FIRST;
                        self.life.note(part.have(), "");
                    }
                    Err(trouble) => {
                        self.life.note(part.have(), &trouble);
                        tracing::debug!(have = part.have(), trouble, "piece of a program");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
            let finished;
            (part, finished) = self.finish(order, part).await?;
            match finished {
                Ok(Some(told)) => {
                    self.work.tell(Input::Happened(told)).await;
                    return Ok(());
                }
                Ok(None) => return Err(Stopped::NotWanted),
                Err(Unfit::OtherBytes) => {
                    other_bytes += 1;
                    part.clear();
                    self.life.note(0, &Unfit::OtherBytes.to_string());
                    if OTHER_BYTES_MAX <= other_bytes {
                        return Err(Stopped::Refused(Unfit::OtherBytes.to_string()));
                    }
                }
                Err(Unfit::NoProgram(reason)) => {
                    part.clear();
                    return Err(Stopped::Refused(reason));
                }
                Err(Unfit::Disk(reason)) => return Err(Stopped::Disk(reason)),
            }
        }
    }

    async fn open(&self, order: &Order) -> Result<PartFile, Stopped> {
        let (life, asked) = (self.life.clone(), order.clone());
        let opened = blocking(move || life.part(&asked)).await.map_err(Stopped::Disk)?;
        let part = opened.map_err(|error| Stopped::Disk(error.to_string()))?;
        self.life.note(part.have(), "");
        if part.have() != 0 {
            tracing::info!(have = part.have(), bytes = order.program.bytes, "program goes on");
        }
        Ok(part)
    }

    /// Waits for a window of the contact plan with room, first for all that is missing, then for the next piece.
    async fn depart(&self, order: &Order, have: u32) -> Result<(), Stopped> {
        let mut is_told = false;
        loop {
            if self.life.ordered().as_ref() != Some(order) {
                return Err(Stopped::NotWanted);
            }
            let Some(controller) = self.work.controller() else { return Ok(()) };
            let now = self.work.clock().now();
            let missing = u64::from(order.program.bytes - have);
            let wait = match self.plan.outlook(&controller, &now) {
                Outlook::Unknown => return Ok(()),
                // In a window, pieces go as long as there is room for one.
                Outlook::Open { left, rate_kbps } => {
                    let piece = missing.min(MODULE_CHUNK_BYTES as u64);
                    let begins_well = have != 0
                        || matches!(
                            self.plan.departure(&controller, missing, &now),
                            Departure::Now
                        );
                    if begins_well && piece <= room_bytes(left, rate_kbps) {
                        return Ok(());
                    }
                    left
                }
                Outlook::Closed { opens } => opens,
            };
            if !is_told {
                is_told = true;
                self.life.note(have, "waits for a contact with room");
                tracing::info!(have, missing, "program waits for a contact with room");
            }
            let wait = wait.clamp(PAUSE_FIRST, DEPARTURE_AGAIN);
            tokio::time::sleep(wait).await;
        }
    }

    /// The next piece; or why there is none, in words.
    async fn piece(&self, order: &Order, have: u32) -> Result<Vec<u8>, String> {
        let query = ModuleQuery { sha256: order.program.sha256, offset: have };
        match self.work.fleet().program(&query).await {
            Ok(ProgramChunk::Part { total, bytes }) => {
                let end = u32::try_from(bytes.len()).ok().and_then(|more| have.checked_add(more));
                let is_piece = !bytes.is_empty() && end.is_some_and(|end| end <= total);
                if total == order.program.bytes && is_piece {
                    Ok(bytes)
                } else {
                    Err(format!("a piece does not belong to it: {total} bytes in all"))
                }
            }
            Ok(ProgramChunk::NotFound) => Err("the controller does not have it".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn finish(
        &self,
        order: &Order,
        part: PartFile,
    ) -> Result<(PartFile, Result<Option<EventKind>, Unfit>), Stopped> {
        let (tell, standing) = oneshot::channel();
        let ran = match self.standing.send(tell).await {
            Ok(()) => standing.await.map(|(_, running)| running).unwrap_or_default(),
            Err(_ended) => return Err(Stopped::NotWanted),
        };
        let (life, order) = (self.life.clone(), order.clone());
        let finish = move || {
            let finished = life.fetched(&order, &part, ran);
            (part, finished)
        };
        blocking(finish).await.map_err(Stopped::Disk)
    }
}

/// Adds a piece, durably.
async fn add(mut part: PartFile, bytes: Vec<u8>) -> Result<PartFile, Stopped> {
    let add = move || part.add(&bytes).map(|()| part);
    let added = blocking(add).await.map_err(Stopped::Disk)?;
    added.map_err(|error| Stopped::Disk(error.to_string()))
}

/// Does work that blocks off the reactor.
pub(in crate::shell) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("work was lost: {error}"))
}
