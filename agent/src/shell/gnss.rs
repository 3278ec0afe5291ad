//! Follows a receiver: gpsd or whatever serves NMEA lines over TCP, or one at a serial line.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use types::Geodetic;

use super::work::locked;
use crate::clock::Clock;
use crate::config::ReceiverConfig;
use crate::sensor::Sensors;
use crate::sensor::gnss::{LINE_BYTES_MAX, NoFix, place};
use crate::serial::port;

/// What gpsd waits for before it says anything; a server of NMEA lines that is asked it does not mind.
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";
/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(10);
/// A receiver that is silent for so long is dialled anew: it says something each second.
const SILENCE: Duration = Duration::from_secs(30);

/// Tells the sensors each place that the receiver tells, for as long as the node runs.
#[expect(clippy::infinite_loop, reason = "the shell aborts it at the end")]
pub(super) async fn follow(receiver: ReceiverConfig, sensors: Arc<Mutex<Sensors>>, clock: Clock) {
    let mut last_words = String::new();
    loop {
        let told = |place| {
            // What goes wrong next is news again.
            if !std::mem::take(&mut last_words).is_empty() {
                tracing::info!(%receiver, "the receiver tells places again");
            }
            locked(&sensors).locate(place, clock.sky());
        };
        let heard = match &receiver {
            ReceiverConfig::Tcp(address) => dial(address, told).await,
            ReceiverConfig::Line { device, baud } => match open(device, *baud) {
                Ok(line) => listen(line, true, told).await,
                Err(error) => Err(error),
            },
        };
        let words = match heard {
            Ok(()) => "it hung up".to_owned(),
            Err(error) => error.to_string(),
        };
        // Once for each reason: a receiver that is not there is not there for long.
        if words != last_words {
            tracing::warn!(%receiver, reason = words, "no receiver");
            last_words = words;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks a server for what its receiver says.
async fn dial(address: &str, tell: impl FnMut(Geodetic)) -> io::Result<()> {
    let dialled = tokio::time::timeout(SILENCE, TcpStream::connect(address)).await;
    let mut stream = dialled.map_err(late)??;
    stream.write_all(WATCH).await?;
    listen(stream, false, tell).await
}

fn late(_elapsed: tokio::time::error::Elapsed) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// Opens the line at which a receiver is.
fn open(device: &std::path::Path, baud: u32) -> io::Result<Line> {
    let fd = port::find(device).and_then(|path| port::open(&path, baud));
    Ok(Line(port::watched(fd.map_err(io::Error::other)?)?))
}

/// A serial line that is read.
struct Line(AsyncFd<OwnedFd>);

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let room = buffer.initialize_unfilled();
            match guard.try_io(|fd| Ok(rustix::io::read(fd, &mut *room)?)) {
                Ok(read) => {
                    buffer.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_nothing_yet) => {}
            }
        }
    }
}

/// Tells each place until the receiver hangs up. At a line that says anything at any moment, the first words may be torn, and too long ones are noise.
async fn listen(
    stream: impl AsyncRead + Unpin,
    is_noisy: bool,
    mut tell: impl FnMut(Geodetic),
) -> io::Result<()> {
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
            if is_noisy {
                continue;
            }
            return Err(io::Error::other(format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
        match place(&String::from_utf8_lossy(&line)) {
            Ok(place) => tell(place),
            Err(NoFix::Other | NoFix::Searching) => {}
            Err(NoFix::Damaged(what)) => tracing::debug!(what, "a line of the receiver is damaged"),
        }
    }
}
