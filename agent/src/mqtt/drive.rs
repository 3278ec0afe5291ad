//! Drives one machine: connects, hands over what it wants to send, tells it what happens, and connects again.

use std::sync::Arc;
use std::time::Duration;

use mqtt_bridge::{Heard, Machine, Moment, Notice};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Told;
use super::backoff::Backoff;
use super::link::{Broker, IN_HAND_MAX, Link, News};
use crate::clock::Clock;

/// A connection that lasted so long was one: the next try comes soon.
const LASTING: Duration = Duration::from_secs(10);
/// How long what waits may take to leave once the agent is to end.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

/// How a connection came to its end.
#[derive(Debug)]
enum End {
    /// The agent ends.
    Told,
    /// It broke, or did not come about.
    Broken(String),
}

/// Drives a machine until it is told to end.
pub(super) async fn drive(
    mut machine: Box<dyn Machine>,
    broker: Arc<Broker>,
    clock: Clock,
    mut told: mpsc::Receiver<Told>,
) {
    let mut backoff = Backoff::new(seed(machine.suffix()));
    let mut last_words = String::new();
    loop {
        let opening = machine.open(&moment(&clock));
        let link = Link::open(&broker, machine.suffix(), &opening);
        let mut connection = Connection {
            link,
            subscribe: opening.subscribe,
            in_hand: 0,
            up_since: None,
            heard: Instant::now(),
            keep_alive: broker.keep_alive,
        };
        let end = connection.live(&mut *machine, &clock, &mut told).await;
        let lasted = connection.up_since.is_some_and(|since| LASTING <= since.elapsed());
        drop(connection);
        machine.closed(&moment(&clock));
        let End::Broken(words) = end else { break };
        if lasted {
            backoff.reset();
            last_words.clear();
        }
        // Once for each reason: a broker that is not there is not there for long.
        if words != last_words {
            tracing::warn!(connection = machine.suffix(), reason = words, "no MQTT broker");
            last_words = words;
        }
        let until = Instant::now() + backoff.wait();
        if !pause(&mut *machine, &clock, &mut told, until).await {
            break;
        }
    }
    tracing::info!(connection = machine.suffix(), counts = ?machine.counts(), "MQTT ended");
}

/// A connection, or a try at one.
struct Connection {
    link: Link,
    subscribe: Vec<String>,
    /// Messages that the client has and has not written.
    in_hand: usize,
    up_since: Option<Instant>,
    /// The last sign of life.
    heard: Instant,
    keep_alive: Duration,
}

impl Connection {
    async fn live(
        &mut self,
        machine: &mut dyn Machine,
        clock: &Clock,
        told: &mut mpsc::Receiver<Told>,
    ) -> End {
        let mut leave_by: Option<Instant> = None;
        loop {
            if let Err(reason) = self.hand_over(machine, clock) {
                return End::Broken(reason);
            }
            if leave_by.is_some() && (machine.is_idle() || self.up_since.is_none()) {
                return self.leave().await;
            }
            // Pings go out and are answered each keep-alive: two without any news is a connection that only seems to be there.
            let lost = self.heard + self.keep_alive * 2 + LASTING;
            let deadline = machine.deadline().map(|at| clock.system(at).into());
            tokio::select! {
                biased;
                () = sleep_until(leave_by) => return self.leave().await,
                news = self.link.news() => {
                    self.heard = Instant::now();
                    if let Err(reason) = self.take(machine, clock, news) {
                        return End::Broken(reason);
                    }
                }
                next = told.recv(), if leave_by.is_none() => {
                    if !tell(machine, clock, next) {
                        machine.close(&moment(clock));
                        leave_by = Some(Instant::now() + LEAVE_PATIENCE);
                    }
                }
                () = sleep_until(deadline) => machine.timer(&moment(clock)),
                () = tokio::time::sleep_until(lost) => {
                    return End::Broken("no sign of life from it".to_owned());
                }
            }
        }
    }

    /// Hands over what the machine wants to send, as far as the client has room.
    fn hand_over(&mut self, machine: &mut dyn Machine, clock: &Clock) -> Result<(), String> {
        while self.up_since.is_some()
            && self.in_hand < IN_HAND_MAX
            && let Some(publish) = machine.next(&moment(clock))
        {
            self.link.publish(publish)?;
            self.in_hand += 1;
        }
        Ok(())
    }

    fn take(&mut self, machine: &mut dyn Machine, clock: &Clock, news: News) -> Result<(), String> {
        match news {
            News::Up => {
                tracing::info!(connection = machine.suffix(), "MQTT broker");
                self.up_since = Some(Instant::now());
                for filter in &self.subscribe {
                    self.link.subscribe(filter)?;
                }
                machine.opened(&moment(clock));
            }
            News::Written(id) => {
                self.in_hand = self.in_hand.saturating_sub(1);
                machine.written(id);
            }
            News::Acked(id, refusal) => {
                if let Some(reason) = refusal {
                    tracing::warn!(reason, "the MQTT broker refuses a message");
                }
                machine.acked(id);
            }
            News::Heard { topic, payload, retain } => {
                let heard = Heard { topic: &topic, payload: &payload, retain };
                match machine.hear(&moment(clock), heard) {
                    Some(Notice::Obeyed(words)) => tracing::info!(words, "MQTT"),
                    Some(Notice::Asked(words)) => tracing::info!(words, "MQTT"),
                    Some(Notice::Refused(words) | Notice::Useless(words)) => {
                        tracing::warn!(words, topic, "MQTT");
                    }
                    None => {}
                }
            }
            News::Denied(reason) => {
                let wanted = self.subscribe.join(", ");
                tracing::warn!(reason, wanted, "the MQTT broker refuses a subscription");
            }
            News::Alive | News::Left => {}
            News::Gone(reason) => return Err(reason),
        }
        Ok(())
    }

    /// Says farewell, so that the broker does not say the will.
    async fn leave(&mut self) -> End {
        if self.up_since.is_some() && self.link.leave().is_ok() {
            let left =
                async { while !matches!(self.link.news().await, News::Left | News::Gone(_)) {} };
            if tokio::time::timeout(LEAVE_PATIENCE, left).await.is_err() {
                tracing::debug!("the farewell was not written");
            }
        }
        End::Told
    }
}

/// Waits for the next try; what is told meanwhile is taken. `false` if the agent ends.
async fn pause(
    machine: &mut dyn Machine,
    clock: &Clock,
    told: &mut mpsc::Receiver<Told>,
    until: Instant,
) -> bool {
    loop {
        let deadline = machine.deadline().map(|at| clock.system(at).into());
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => return true,
            next = told.recv() => {
                if !tell(machine, clock, next) {
                    return false;
                }
            }
            () = sleep_until(deadline) => machine.timer(&moment(clock)),
        }
    }
}

/// Tells the machine; `false` if the agent ends.
fn tell(machine: &mut dyn Machine, clock: &Clock, told: Option<Told>) -> bool {
    let now = moment(clock);
    match told {
        Some(Told::Report(report)) => machine.tell(&now, mqtt_bridge::Told::Report(&report)),
        Some(Told::Event(event)) => machine.tell(&now, mqtt_bridge::Told::Event(&event)),
        Some(Told::Contact(next)) => machine.tell(&now, mqtt_bridge::Told::Contact(next)),
        Some(Told::End) | None => return false,
    }
    true
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn moment(clock: &Clock) -> Moment {
    let now = clock.now();
    Moment { at: now.at, sky: now.sky }
}

/// Tells nodes apart that start at once; without randomness they wait alike, which is no harm.
fn seed(suffix: &str) -> u64 {
    let mut bytes = [0; 8];
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK).is_err() {
        tracing::debug!(suffix, "no randomness for the pauses");
    }
    u64::from_le_bytes(bytes)
}
