//! What of a model's attention decides how it can be split and how large its cache is.

use serde::Deserialize;

/// The numbers of a model's `config.json`, of its language part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attention {
    /// Layers that keep a cache which grows with the context: `num_hidden_layers`, less those that do not.
    pub(crate) layers: u32,
    /// `num_attention_heads`.
    pub(crate) heads: u32,
    /// `num_key_value_heads`.
    pub(crate) kv_heads: u32,
    /// `head_dim`.
    pub(crate) head_dim: u32,
    /// Of latent attention, what a layer keeps of a token in place of keys and values: `kv_lora_rank` and
    /// `qk_rope_head_dim` together. Every rank of a tensor parallelism keeps all of it.
    pub(crate) latent: Option<u32>,
}

impl Attention {
    /// Numbers that a GPU keeps of one token, the layers split over `pp` and the heads over `tp` GPUs.
    ///
    /// Keys and values of each head once; where there are fewer heads than GPUs each keeps one. The fullest stage of the
    /// pipeline counts.
    pub(crate) fn values_per_token(self, tp: u32, pp: u32) -> u64 {
        let layers = u64::from(self.layers.div_ceil(pp));
        layers
            * match self.latent {
                Some(latent) => u64::from(latent),
                None => 2 * u64::from(self.kv_heads.div_ceil(tp)) * u64::from(self.head_dim),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPED: Attention = Attention { layers: 92, heads: 96, kv_heads: 8, head_dim: 128, latent: None };

    #[test]
    fn a_cache_is_split_by_heads_and_layers_as_far_as_there_are_any() {
        assert_eq!(GROUPED.values_per_token(1, 1), 92 * 2 * 8 * 128);
        assert_eq!(GROUPED.values_per_token(4, 1), 92 * 2 * 2 * 128);
        assert_eq!(GROUPED.values_per_token(16, 1), 92 * 2 * 128, "a head cannot be halved");
        assert_eq!(GROUPED.values_per_token(1, 3), 31 * 2 * 8 * 128, "the fullest stage");
        let latent = Attention { latent: Some(576), ..GROUPED };
        assert_eq!(latent.values_per_token(4, 1), 92 * 576, "every rank keeps the latent");
    }
}
