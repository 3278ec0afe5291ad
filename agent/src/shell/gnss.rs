//! Follows a receiver over TCP: gpsd, or whatever serves NMEA lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use types::Geodetic;

use super::work::locked;
use crate::clock::Clock;
use crate::sensor::Sensors;
use crate::sensor::gnss::{LINE_BYTES_MAX, NoFix, place};

/// What gpsd waits for before it says anything; a server of NMEA lines that is asked it does not mind.
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";
/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(10);
/// A receiver that is silent for so long is dialled anew: it says something each second.
const SILENCE: Duration = Duration::from_secs(30);

/// Tells the sensors each place that the receiver tells, for as long as the node runs.
#[expect(clippy::infinite_loop, reason = "the shell aborts it at the end")]
pub(super) async fn follow(receiver: String, sensors: Arc<Mutex<Sensors>>, clock: Clock) {
    let mut last_words = String::new();
    loop {
        let told = |place| {
            // What goes wrong next is news again.
            if !std::mem::take(&mut last_words).is_empty() {
                tracing::info!(receiver, "the receiver tells places again");
            }
            locked(&sensors).locate(place, clock.sky());
        };
        let words = match listen(&receiver, told).await {
            Ok(()) => "it hung up".to_owned(),
            Err(error) => error.to_string(),
        };
        // Once for each reason: a receiver that is not there is not there for long.
        if words != last_words {
            tracing::warn!(receiver, reason = words, "no receiver");
            last_words = words;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Tells each place until the receiver hangs up.
async fn listen(receiver: &str, mut tell: impl FnMut(Geodetic)) -> std::io::Result<()> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
    let dialled = tokio::time::timeout(SILENCE, TcpStream::connect(receiver)).await;
    let mut stream = dialled.map_err(late)??;
    stream.write_all(WATCH).await?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let bound = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let mut bounded = (&mut lines).take(bound);
        let read = tokio::time::timeout(SILENCE, bounded.read_until(b'\n', &mut line)).await;
        if read.map_err(late)?? == 0 {
            return Ok(());
        }
        if !line.ends_with(b"\n") {
            return Err(std::io::Error::other(format!(
                "a line of more than {LINE_BYTES_MAX} bytes"
            )));
        }
        match place(&String::from_utf8_lossy(&line)) {
            Ok(place) => tell(place),
            Err(NoFix::Other | NoFix::Searching) => {}
            Err(NoFix::Damaged(what)) => tracing::debug!(what, "a line of the receiver is damaged"),
        }
    }
}
