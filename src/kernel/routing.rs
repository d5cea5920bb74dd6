//! What uniform routing does to a batch: how many experts wake up and how many row blocks they need.

use crate::shape::MoeShape;

/// Expected work of routing `tokens` tokens uniformly over a shape's experts.
///
/// Every token picks `top_k` different routed experts, each set equally likely, and goes through
/// every fused shared expert as well. Then the number of tokens one routed expert gets is binomial
/// with `tokens` trials and p = top_k / routed experts. Real routers are skewed; this is the
/// balanced case that load-balancing losses aim at.
#[derive(Debug, Clone)]
pub(crate) struct Routing {
    tokens: u32,
    routed_experts: u32,
    fused_experts: u32,
    /// Tokens one routed expert gets: the first count with weight, then P(count) upwards.
    first_count: u32,
    probability: Vec<f64>,
}

impl Routing {
    /// Routing of `tokens` tokens over `shape`.
    pub(crate) fn uniform(shape: &MoeShape, tokens: u32) -> Self {
        let routed_experts = shape.experts.saturating_sub(shape.fused_shared_experts).max(1);
        let p = (f64::from(shape.top_k) / f64::from(routed_experts)).min(1.0);
        let (first_count, probability) = binomial(tokens, p);
        Self { tokens, routed_experts, fused_experts: shape.fused_shared_experts, first_count, probability }
    }

    /// Experts at least one token goes to: E (1 - (1 - top_k/E)^tokens), plus the fused ones.
    pub(crate) fn distinct_experts(&self) -> f64 {
        let idle = if self.first_count == 0 { self.probability[0] } else { 0.0 };
        f64::from(self.routed_experts) * (1.0 - idle) + f64::from(self.fused_experts)
    }

    /// Blocks of `block_size_m` rows that hold at least one token, summed over the experts.
    pub(crate) fn row_blocks(&self, block_size_m: u32) -> f64 {
        let per_expert: f64 = (self.first_count..)
            .zip(&self.probability)
            .map(|(count, p)| f64::from(count.div_ceil(block_size_m)) * p)
            .sum();
        f64::from(self.routed_experts) * per_expert
            + f64::from(self.fused_experts) * f64::from(self.tokens.div_ceil(block_size_m))
    }
}

/// The binomial distribution of `n` trials with success probability `p`, without its vanishing tails:
/// the first count kept and the probabilities from there on.
///
/// Weights grow outwards from the mode by the ratio of neighbours, so nothing underflows however
/// large `n` is; what is dropped is below 1e-18 of the mode.
fn binomial(n: u32, p: f64) -> (u32, Vec<f64>) {
    if p >= 1.0 {
        return (n, vec![1.0]);
    }
    const NEGLIGIBLE: f64 = 1e-18;
    let odds = p / (1.0 - p);
    let mode = ((f64::from(n) + 1.0) * p).floor().min(f64::from(n)) as u32;
    let mut below = Vec::new();
    let mut weight = 1.0;
    for count in (0..mode).rev() {
        weight *= f64::from(count + 1) / (f64::from(n - count) * odds);
        if weight < NEGLIGIBLE {
            break;
        }
        below.push(weight);
    }
    let first = mode - below.len() as u32;
    let mut weights: Vec<f64> = below.into_iter().rev().collect();
    weights.push(1.0);
    weight = 1.0;
    for count in mode..n {
        weight *= f64::from(n - count) * odds / f64::from(count + 1);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push(weight);
    }
    let total: f64 = weights.iter().sum();
    (first, weights.into_iter().map(|weight| weight / total).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Dtype, Quantization};

    fn shape(experts: u32, top_k: u32, fused: u32) -> MoeShape {
        MoeShape {
            experts: experts + fused,
            top_k,
            ..MoeShape::glm(Quantization::none(Dtype::Bfloat16), fused)
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn one_token_wakes_exactly_its_experts() {
        let routing = Routing::uniform(&shape(160, 8, 0), 1);
        close(routing.distinct_experts(), 8.0);
        close(routing.row_blocks(16), 8.0);
        let fused = Routing::uniform(&shape(160, 8, 1), 1);
        close(fused.distinct_experts(), 9.0);
        close(fused.row_blocks(64), 9.0);
    }

    #[test]
    fn distinct_experts_follow_the_closed_form() {
        for tokens in [1, 2, 7, 64, 513, 4096, 100_000] {
            let expected = 160.0 * (1.0 - (1.0 - 8.0 / 160.0_f64).powi(tokens as i32));
            close(Routing::uniform(&shape(160, 8, 0), tokens).distinct_experts(), expected);
        }
    }

    #[test]
    fn row_blocks_match_a_simulation_by_hand() {
        // Two experts, one pick, two tokens: 2+0, 1+1 (twice), 0+2 with equal odds. Blocks of one
        // row: always 2. Blocks of two rows: 1, 2, 2, 1, so 1.5 on average.
        let routing = Routing::uniform(&shape(2, 1, 0), 2);
        close(routing.row_blocks(1), 2.0);
        close(routing.row_blocks(2), 1.5);
    }

    #[test]
    fn every_expert_picked_by_every_token() {
        let routing = Routing::uniform(&shape(8, 8, 0), 100);
        close(routing.distinct_experts(), 8.0);
        close(routing.row_blocks(64), 16.0);
    }

    #[test]
    fn rows_add_up_for_blocks_of_one() {
        for tokens in [1, 33, 1000, 200_000] {
            close(Routing::uniform(&shape(160, 8, 1), tokens).row_blocks(1), f64::from(tokens) * 9.0);
        }
    }
}
