//! Which event carried how many tokens.
//!
//! One event is not one token: speculative decoding and coalescing put several into one, and a token that
//! ends inside a character has no event of its own. The server's totals decide, wherever it gives them:
//!
//! - A total that grew belongs to the events with output since the total before, spread evenly. Where every
//!   event has a total that is one event and exact; where only the last has one it is all of them.
//! - An event whose total grew carries tokens even without text (a character still incomplete).
//! - An event with output whose total did not grow carries none: SGLang splits one step's text into a
//!   reasoning event and a content event with the same total.
//! - A total in an event of its own (`choices: []`) that grew with no output to give it to goes to the last
//!   event that spoke of the answer, which is when these tokens arrived: an end-of-text token has no text,
//!   the finish event is its time.
//! - A total that shrinks is taken for one that did not grow. A total of zero says nothing.
//! - Output after the last total counts one token an event, as all output does where no total ever came.

use crate::bench::record::TokenSource;

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// When each event with output came, and its tokens. One list, so that an event touches one place in memory.
    chunks: Vec<(u64, f32)>,
    /// Entries whose tokens the totals so far account for.
    counted: usize,
    /// The largest total so far.
    total: u32,
    /// When the last event that spoke of the answer came.
    last_spoken_us: Option<u64>,
    /// A total came with the output it counts, before the end.
    running: bool,
    /// Growth was spread over several events.
    spread: bool,
}

/// What one event says of tokens.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sighting {
    /// It speaks of the answer, not of usage alone.
    pub(super) spoken: bool,
    /// It carries output.
    pub(super) output: bool,
    /// The tokens generated so far, where it says.
    pub(super) total: Option<u32>,
}

/// The tally at the end.
#[derive(Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) output_tokens: u32,
    pub(super) source: TokenSource,
    pub(super) chunk_us: Vec<u64>,
    pub(super) chunk_tokens: Vec<f32>,
}

impl Tally {
    pub(super) fn add(&mut self, at_us: u64, sighting: Sighting) {
        if sighting.output {
            self.push(at_us, 0.0);
        }
        if sighting.spoken {
            self.last_spoken_us = Some(at_us);
        }
        if let Some(total) = sighting.total.filter(|&total| total > 0) {
            let growth = total.saturating_sub(self.total);
            self.total = self.total.max(total);
            self.attribute(at_us, growth as f32, sighting);
        }
    }

    /// Whether output has come.
    pub(super) fn has_output(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// What the server counted, and one for each event it has not counted yet.
    pub(super) fn tokens(&self) -> u32 {
        self.total.saturating_add(u32::try_from(self.pending()).unwrap_or(u32::MAX))
    }

    pub(super) fn finish(mut self) -> Counted {
        let output_tokens = self.tokens();
        let pending = self.pending();
        let source = match (self.total, pending) {
            (0, _) | (_, 1..) => TokenSource::Events,
            _ if self.running && !self.spread => TokenSource::Cumulative,
            _ => TokenSource::Spread,
        };
        for (_, tokens) in self.chunks.iter_mut().skip(self.counted) {
            *tokens = 1.0;
        }
        let (chunk_us, chunk_tokens) = self.chunks.into_iter().unzip();
        Counted { output_tokens, source, chunk_us, chunk_tokens }
    }

    fn attribute(&mut self, at_us: u64, growth: f32, sighting: Sighting) {
        match self.pending() {
            0 if growth == 0.0 => {}
            0 => {
                let arrived = match sighting.spoken {
                    true => at_us,
                    false => self.last_spoken_us.unwrap_or(at_us),
                };
                match self.chunks.last_mut() {
                    Some((at, last)) if !sighting.spoken && *at == arrived => *last += growth,
                    _ => self.push(arrived, growth),
                }
                self.running |= sighting.spoken;
            }
            several => {
                let each = growth / several as f32;
                for (_, tokens) in self.chunks.iter_mut().skip(self.counted) {
                    *tokens = each;
                }
                self.spread |= several > 1 && growth > 0.0;
                self.running |= sighting.output;
            }
        }
        self.counted = self.chunks.len();
    }

    fn pending(&self) -> usize {
        self.chunks.len() - self.counted
    }

    fn push(&mut self, at_us: u64, tokens: f32) {
        self.chunks.push((at_us, tokens));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each event: its time, whether it speaks of the answer, has output, and its total.
    fn tally(events: &[(u64, bool, bool, Option<u32>)]) -> Counted {
        let mut tally = Tally::default();
        for &(at_us, spoken, output, total) in events {
            tally.add(at_us, Sighting { spoken, output, total });
        }
        tally.finish()
    }

    fn counted(output_tokens: u32, source: TokenSource, chunks: &[(u64, f32)]) -> Counted {
        let (chunk_us, chunk_tokens) = chunks.iter().copied().unzip();
        Counted { output_tokens, source, chunk_us, chunk_tokens }
    }

    #[test]
    fn running_totals_are_exact_also_where_text_is_missing_or_split() {
        let events = [
            (1, true, false, Some(0)),  // the role
            (2, true, true, Some(3)),   // three at once
            (3, true, false, Some(4)),  // a character still incomplete
            (4, true, true, Some(6)),   // one step, as reasoning ...
            (4, true, true, Some(6)),   // ... and as content
            (5, true, true, Some(5)),   // a total that shrinks
            (6, true, false, None),     // finish
            (7, false, false, Some(7)), // usage: the end-of-text token
        ];
        let chunks = [(2, 3.0), (3, 1.0), (4, 2.0), (4, 0.0), (5, 0.0), (6, 1.0)];
        assert_eq!(tally(&events), counted(7, TokenSource::Cumulative, &chunks));
    }

    #[test]
    fn a_final_total_is_spread_evenly() {
        let events = [
            (1, true, true, None),
            (2, true, true, None),
            (3, true, false, None),
            (4, false, false, Some(5)),
        ];
        assert_eq!(tally(&events), counted(5, TokenSource::Spread, &[(1, 2.5), (2, 2.5)]));
        // Fewer tokens than events, and a total in the finish event.
        let events = [(1, true, true, None), (2, true, true, None), (3, true, false, Some(1))];
        assert_eq!(tally(&events), counted(1, TokenSource::Spread, &[(1, 0.5), (2, 0.5)]));
        // One event: all came in it, but nothing says so.
        let events = [(1, true, true, None), (2, false, false, Some(9))];
        assert_eq!(tally(&events), counted(9, TokenSource::Spread, &[(1, 9.0)]));
    }

    #[test]
    fn without_a_believable_total_events_are_counted() {
        let one_each = counted(2, TokenSource::Events, &[(1, 1.0), (2, 1.0)]);
        assert_eq!(tally(&[(1, true, true, None), (2, true, true, None)]), one_each);
        assert_eq!(tally(&[(1, true, true, Some(0)), (2, true, true, Some(0))]), one_each);
        // A total that stops coming.
        let events = [(1, true, true, Some(4)), (2, true, true, None)];
        assert_eq!(tally(&events), counted(5, TokenSource::Events, &[(1, 4.0), (2, 1.0)]));
    }

    #[test]
    fn an_answer_of_nothing_but_an_end_of_text_token_has_one() {
        let events = [(1, true, false, None), (2, true, false, None), (3, false, false, Some(1))];
        assert_eq!(tally(&events), counted(1, TokenSource::Spread, &[(2, 1.0)]));
        assert_eq!(tally(&[]), counted(0, TokenSource::Events, &[]));
        assert_eq!(tally(&[(1, true, true, Some(u32::MAX)), (2, true, true, None)]).output_tokens, u32::MAX);
    }
}
