//! The sending end of one transfer: offer, send what is wanted, offer again after silence.

use std::collections::{BTreeSet, VecDeque};

/// Most chunks in flight: covers 1 MiB per round trip, 7 MB/s at the 150 ms of the longest paths.
pub const WINDOW: usize = 4;
/// After so many failures in a row without a new chunk taken between them the sender gives up. Whoever started the
/// transfer may start it again: what arrived is not lost.
pub const SILENCES_MAX: u32 = 3;

/// What the receiver says to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferAnswer {
    /// These chunks are missing.
    Wanted(Vec<u32>),
    /// All is there and durable.
    Durable,
    /// Not taken, whatever is tried.
    Refused,
    /// Nothing, or nothing that means anything.
    Silence,
}

/// What the receiver says to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkAnswer {
    /// Taken.
    Taken,
    /// That was the last; all is durable.
    Durable,
    /// The transfer must begin with an offer again.
    OfferAgain,
    /// Not taken, whatever is tried.
    Refused,
    /// Nothing, or nothing that means anything.
    Silence,
}

/// What can happen to a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderInput {
    /// Begin.
    Start,
    /// The answer to the offer.
    Offer(OfferAnswer),
    /// The answer to a chunk.
    Chunk {
        /// Which.
        index: u32,
        /// What was said.
        answer: ChunkAnswer,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderOutput {
    /// Send the offer.
    Offer,
    /// Send this chunk.
    Chunk(u32),
    /// All is durable there.
    Done,
    /// It is not.
    Failed(Failure),
}

/// Why a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The receiver refuses.
    Refused,
    /// The receiver is silent.
    Silence,
    /// The receiver asks for chunks that do not exist.
    Nonsense,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    chunks: u32,
    waiting: VecDeque<u32>,
    in_flight: BTreeSet<u32>,
    /// Chunks that were taken at least once; only a new one counts as progress.
    taken: BTreeSet<u32>,
    silences: u32,
    over: bool,
}

impl Sender {
    /// A transfer of a bundle of `chunks` chunks.
    pub const fn new(chunks: u32) -> Self {
        Self {
            chunks,
            waiting: VecDeque::new(),
            in_flight: BTreeSet::new(),
            taken: BTreeSet::new(),
            silences: 0,
            over: false,
        }
    }

    /// Applies one input.
    pub fn handle(&mut self, input: SenderInput) -> Vec<SenderOutput> {
        if self.over {
            return Vec::new();
        }
        match input {
            SenderInput::Start => vec![SenderOutput::Offer],
            SenderInput::Offer(answer) => self.offer_answered(answer),
            SenderInput::Chunk { index, answer } => self.chunk_answered(index, answer),
        }
    }

    fn offer_answered(&mut self, answer: OfferAnswer) -> Vec<SenderOutput> {
        match answer {
            OfferAnswer::Durable => self.end(SenderOutput::Done),
            OfferAnswer::Refused => self.end(SenderOutput::Failed(Failure::Refused)),
            OfferAnswer::Silence => self.again(),
            OfferAnswer::Wanted(wanted)
                if wanted.is_empty() || wanted.iter().any(|c| self.chunks <= *c) =>
            {
                self.end(SenderOutput::Failed(Failure::Nonsense))
            }
            OfferAnswer::Wanted(wanted) => {
                self.waiting = wanted.into();
                self.in_flight.clear();
                self.fill_window()
            }
        }
    }

    fn chunk_answered(&mut self, index: u32, answer: ChunkAnswer) -> Vec<SenderOutput> {
        // An answer from before the last offer is of no interest, unless it ends the transfer.
        let expected = self.in_flight.remove(&index);
        match answer {
            ChunkAnswer::Durable => self.end(SenderOutput::Done),
            ChunkAnswer::Refused => self.end(SenderOutput::Failed(Failure::Refused)),
            _ if !expected => Vec::new(),
            ChunkAnswer::Taken => {
                if self.taken.insert(index) {
                    self.silences = 0;
                }
                let next = self.fill_window();
                // All is sent and taken, yet it is not durable: ask what is missing.
                if next.is_empty() && self.in_flight.is_empty() { self.again() } else { next }
            }
            ChunkAnswer::OfferAgain | ChunkAnswer::Silence => self.again(),
        }
    }

    fn fill_window(&mut self) -> Vec<SenderOutput> {
        let mut outputs = Vec::new();
        while self.in_flight.len() < WINDOW {
            let Some(chunk) = self.waiting.pop_front() else { break };
            self.in_flight.insert(chunk);
            outputs.push(SenderOutput::Chunk(chunk));
        }
        outputs
    }

    fn again(&mut self) -> Vec<SenderOutput> {
        self.silences += 1;
        self.waiting.clear();
        self.in_flight.clear();
        if self.silences < SILENCES_MAX {
            vec![SenderOutput::Offer]
        } else {
            self.end(SenderOutput::Failed(Failure::Silence))
        }
    }

    fn end(&mut self, output: SenderOutput) -> Vec<SenderOutput> {
        self.over = true;
        vec![output]
    }
}

#[cfg(test)]
mod tests {
    use super::SenderOutput::{Done, Failed, Offer};
    use super::*;

    fn chunk(index: u32, answer: ChunkAnswer) -> SenderInput {
        SenderInput::Chunk { index, answer }
    }

    fn wanted(chunks: &[u32]) -> SenderInput {
        SenderInput::Offer(OfferAnswer::Wanted(chunks.to_vec()))
    }

    #[track_caller]
    fn check(chunks: u32, story: Vec<(SenderInput, Vec<SenderOutput>)>) {
        let mut sender = Sender::new(chunks);
        assert_eq!(sender.handle(SenderInput::Start), [Offer]);
        for (step, (input, expected)) in story.into_iter().enumerate() {
            assert_eq!(sender.handle(input.clone()), expected, "step {step}: {input:?}");
        }
    }

    #[test]
    fn what_is_wanted_is_sent_in_a_window() {
        use ChunkAnswer::{Durable, Taken};
        use SenderOutput::Chunk;
        check(
            9,
            vec![
                (wanted(&[0, 1, 2, 5, 6, 7]), vec![Chunk(0), Chunk(1), Chunk(2), Chunk(5)]),
                (chunk(1, Taken), vec![Chunk(6)]),
                (chunk(0, Taken), vec![Chunk(7)]),
                (chunk(2, Taken), vec![]),
                (chunk(5, Taken), vec![]),
                (chunk(6, Taken), vec![]),
                (chunk(7, Durable), vec![Done]),
                (chunk(7, Durable), vec![]),
            ],
        );
    }

    #[test]
    fn silence_makes_it_offer_again_and_then_give_up() {
        use SenderOutput::Chunk;
        let silence = || SenderInput::Offer(OfferAnswer::Silence);
        check(
            2,
            vec![
                (wanted(&[0, 1]), vec![Chunk(0), Chunk(1)]),
                (chunk(0, ChunkAnswer::Taken), vec![]),
                (chunk(1, ChunkAnswer::Silence), vec![Offer]),
                (chunk(1, ChunkAnswer::Silence), vec![]),
                (wanted(&[1]), vec![Chunk(1)]),
                (chunk(1, ChunkAnswer::OfferAgain), vec![Offer]),
                (silence(), vec![Failed(Failure::Silence)]),
            ],
        );
    }

    #[test]
    fn a_refusal_or_nonsense_ends_it() {
        check(1, vec![(SenderInput::Offer(OfferAnswer::Refused), vec![Failed(Failure::Refused)])]);
        for nonsense in [&[][..], &[1], &[0, 7]] {
            check(1, vec![(wanted(nonsense), vec![Failed(Failure::Nonsense)])]);
        }
    }

    #[test]
    fn a_receiver_that_takes_all_and_never_confirms_is_given_up() {
        use SenderOutput::Chunk;
        let mut sender = Sender::new(1);
        assert_eq!(sender.handle(SenderInput::Start), [Offer]);
        let mut steps = 0;
        loop {
            assert!(steps < 100, "it goes on for ever");
            steps += 1;
            let outputs = sender.handle(wanted(&[0]));
            if outputs != [Chunk(0)] {
                break;
            }
            if sender.handle(chunk(0, ChunkAnswer::Taken)) == [Failed(Failure::Silence)] {
                break;
            }
        }
    }
}
