//! Packets of a socket pair. A packet holds a message and, beside it, bytes that belong to it; either travels as sealed memory
//! when it is large (hand-over mode M2), so that a packet is never larger than its bound and large bytes cross without a stream.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memfd::{self, Sealed};

/// Largest packet: what a socket takes with room, and below which copying twice is cheaper than making memory.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// Flags, and the length of the message within the packet.
const HEADER_BYTES: usize = 1 + 4;
/// Largest message: the keys of a group of state, all of them.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes beside a message: a body has 8 MiB, a value 1 MiB; parts of objects have as many as fit here.
pub(crate) const BULK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most bytes of an object that is handed over as it is: nothing makes room for it.
const OBJECT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Descriptors of one packet: message and bytes, or another lane.
const DESCRIPTORS_MAX: usize = 2;

/// The message is in sealed memory.
const MESSAGE_MOVED: u8 = 1;
/// There are bytes beside it.
const HAS_BULK: u8 = 2;
/// They are in sealed memory.
const BULK_MOVED: u8 = 4;
/// The packet hands over a socket.
const HAS_LANE: u8 = 8;
/// The packet hands over sealed memory that stays as it is.
const HAS_MEMORY: u8 = 16;

/// What goes along with a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Beside<'a> {
    /// Nothing.
    Nothing,
    /// Bytes.
    Bytes(&'a [u8]),
    /// Bytes in memory that is sealed already.
    Sealed(&'a File),
    /// The same, for who wants it as it is.
    Memory(&'a Sealed),
    /// The other end of a lane.
    Lane(&'a OwnedFd),
}

/// What came along.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// Bytes.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Sealed memory as it is.
    pub(crate) memory: Option<Sealed>,
    /// The end of a lane.
    pub(crate) lane: Option<OwnedFd>,
}

/// One end of a conversation.
#[derive(Debug)]
pub(crate) struct Lane {
    socket: OwnedFd,
    packet: Vec<u8>,
}

impl Lane {
    /// Both ends of a new conversation.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
        Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
    }

    /// This end.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket, packet: Vec::new() }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The other end is gone, or the system has no memory for it.
    pub(crate) fn send(&self, message: &impl Serialize, beside: Beside<'_>) -> io::Result<()> {
        let message = postcard::to_allocvec(message).map_err(io::Error::other)?;
        let room = PACKET_BYTES_MAX - HEADER_BYTES;
        let message_moves = room < message.len();
        let inline = if message_moves { 0 } else { message.len() };
        let (mut flags, mut made, mut given) = (0, Vec::new(), Vec::new());
        if message_moves {
            flags |= MESSAGE_MOVED;
            made.push(memfd::sealed("starbelt-message", &[&message])?);
        }
        let mut bulk: &[u8] = &[];
        match beside {
            Beside::Nothing => {}
            Beside::Bytes(bytes) if bytes.len() <= room - inline => {
                flags |= HAS_BULK;
                bulk = bytes;
            }
            Beside::Bytes(bytes) => {
                flags |= HAS_BULK | BULK_MOVED;
                made.push(memfd::sealed("starbelt-bytes", &[bytes])?);
            }
            Beside::Sealed(memory) => {
                flags |= HAS_BULK | BULK_MOVED;
                given.push(memory.as_fd());
            }
            Beside::Memory(memory) => {
                flags |= HAS_MEMORY;
                given.push(memory.memory().as_fd());
            }
            Beside::Lane(socket) => {
                flags |= HAS_LANE;
                given.push(socket.as_fd());
            }
        }
        let descriptors: Vec<_> = made.iter().map(File::as_fd).chain(given).collect();
        let length = u32::try_from(inline).map_err(io::Error::other)?.to_le_bytes();
        let flags = [flags];
        let parts = [&flags[..], &length, &message[..inline], bulk].map(IoSlice::new);
        self.send_packet(&parts, &descriptors)
    }

    fn send_packet(&self, parts: &[IoSlice<'_>], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(invalid("a packet has at most two descriptors"));
        }
        loop {
            match sendmsg(&self.socket, parts, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                // A packet is sent whole or not at all.
                sent => return Ok(sent.map(|_| ())?),
            }
        }
    }

    /// Waits for the next message, at most until then.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the other end is gone, [`io::ErrorKind::TimedOut`],
    /// [`io::ErrorKind::InvalidData`] for what is no message.
    pub(crate) fn receive<T: DeserializeOwned>(
        &mut self,
        until: Option<Instant>,
    ) -> io::Result<(T, Came)> {
        let mut descriptors = self.receive_packet(until)?.into_iter();
        let mut next = || descriptors.next().ok_or_else(|| invalid("a descriptor is missing"));
        let short = || invalid("a packet is shorter than it says");
        let (&flags, rest) = self.packet.split_first().ok_or_else(short)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(io::Error::other)?;
        let (inline, bulk) = rest.split_at_checked(length).ok_or_else(short)?;
        let no_message = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let message = if flags & MESSAGE_MOVED == 0 {
            postcard::from_bytes(inline).map_err(no_message)?
        } else {
            let bytes = memfd::read(&File::from(next()?), MESSAGE_BYTES_MAX)?;
            postcard::from_bytes(&bytes).map_err(no_message)?
        };
        let bytes = match (flags & HAS_BULK != 0, flags & BULK_MOVED != 0) {
            (false, _) => None,
            (true, false) => Some(bulk.to_vec()),
            (true, true) => Some(memfd::read(&File::from(next()?), BULK_BYTES_MAX)?),
        };
        let lane = if flags & HAS_LANE == 0 { None } else { Some(next()?) };
        let memory = match flags & HAS_MEMORY != 0 {
            true => Some(Sealed::take(File::from(next()?), OBJECT_BYTES_MAX)?),
            false => None,
        };
        Ok((message, Came { bytes, memory, lane }))
    }

    /// Leaves the next packet in `self.packet`, and gives its descriptors.
    fn receive_packet(&mut self, until: Option<Instant>) -> io::Result<Vec<OwnedFd>> {
        if let Some(until) = until {
            self.wait(until)?;
        }
        self.packet.resize(PACKET_BYTES_MAX, 0);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut self.packet)];
            match recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                received => break received?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(invalid("a packet is larger than any may be"));
        }
        self.packet.truncate(received.bytes);
        Ok(descriptors)
    }

    fn wait(&self, until: Instant) -> io::Result<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let time = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
            match poll(&mut sockets, Some(&time)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn invalid(rule: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rule)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lanes() -> (Lane, Lane) {
        let (one, other) = Lane::pair().unwrap();
        (Lane::new(one), Lane::new(other))
    }

    #[test]
    fn messages_and_bytes_of_any_size_arrive_as_they_went() {
        let (here, mut there) = lanes();
        for message in [0, 10, 65_000, 65_600, 1_000_000] {
            for bytes in [None, Some(0), Some(500), Some(65_600), Some(10_000_000)] {
                let sent = (vec![7_u8; message], bytes.map(|bytes| vec![9; bytes]));
                let beside = sent.1.as_deref().map_or(Beside::Nothing, Beside::Bytes);
                here.send(&sent.0, beside).unwrap();
                let (message, came) = there.receive::<Vec<u8>>(None).unwrap();
                assert!((message, came.bytes) == sent);
                assert!(came.lane.is_none());
            }
        }
    }

    #[test]
    fn a_lane_can_be_handed_over() {
        let (here, mut there) = lanes();
        let (mine, yours) = Lane::pair().unwrap();
        here.send(&1_u8, Beside::Lane(&yours)).unwrap();
        let (_, came) = there.receive::<u8>(None).unwrap();
        let mut yours = Lane::new(came.lane.unwrap());
        Lane::new(mine).send(&2_u8, Beside::Nothing).unwrap();
        assert_eq!(yours.receive::<u8>(None).unwrap().0, 2);
    }

    #[track_caller]
    fn check(result: io::Result<(u8, Came)>, kind: io::ErrorKind) {
        assert_eq!(result.map(|_| ()).unwrap_err().kind(), kind);
    }

    #[test]
    fn silence_garbage_and_an_end_are_told_apart() {
        let (here, mut there) = lanes();
        let soon = Instant::now() + Duration::from_millis(20);
        check(there.receive(Some(soon)), io::ErrorKind::TimedOut);
        for garbage in [
            &[0][..],
            &[0, 1, 0, 0, 0],
            &[MESSAGE_MOVED, 0, 0, 0, 0],
            &[HAS_BULK | BULK_MOVED, 1, 0, 0, 0, 7],
            &[HAS_LANE, 1, 0, 0, 0, 7],
            &[0, 0xff, 0xff, 0xff, 0xff, 1],
            &[0, 0, 0, 0, 0],
        ] {
            here.send_packet(&[IoSlice::new(garbage)], &[]).unwrap();
            check(there.receive(None), io::ErrorKind::InvalidData);
        }
        // Memory that the sender could still change.
        let open = memfd::create("test").unwrap();
        open.set_len(1).unwrap();
        here.send_packet(&[IoSlice::new(&[MESSAGE_MOVED, 0, 0, 0, 0])], &[open.as_fd()]).unwrap();
        check(there.receive(None), io::ErrorKind::InvalidData);
        drop(here);
        check(there.receive(None), io::ErrorKind::UnexpectedEof);
    }
}
