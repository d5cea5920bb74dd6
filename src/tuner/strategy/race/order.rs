//! Which contest learns from which: fixed by the batch sizes alone, so that it does not matter which of two
//! contests ends first.

use super::super::Contest;

/// Batch sizes at which the whole space is screened.
const ANCHORS: [u32; 5] = [1, 16, 64, 512, 4096];

/// The contests that a contest learns from, by contest, the lower one first. Those at the anchors learn from
/// none, all others from the anchors on either side.
pub(super) fn predecessors(contests: &[Contest]) -> Vec<Vec<usize>> {
    let mut anchors: Vec<usize> = ANCHORS
        .iter()
        .filter_map(|anchor| (0..contests.len()).min_by_key(|&at| contests[at].key.abs_diff(*anchor)))
        .collect();
    anchors.sort_unstable();
    anchors.dedup();
    let of = |contest: usize| {
        let above = anchors.partition_point(|&anchor| anchor < contest);
        if anchors.get(above) == Some(&contest) {
            return Vec::new();
        }
        anchors[..above].last().into_iter().chain(anchors.get(above)).copied().collect()
    };
    (0..contests.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[u32]) -> Vec<Vec<usize>> {
        let contest = |&key| Contest { key, slots: Vec::new(), default: None, incumbents: Vec::new() };
        predecessors(&keys.iter().map(contest).collect::<Vec<_>>())
    }

    #[test]
    fn who_is_no_anchor_waits_for_the_anchors_on_either_side() {
        let found = of(&[1, 2, 8, 16, 32, 64, 1024, 2048, 4096]);
        // 512 is nearest to 64 of these.
        let (low, mid, high) = (vec![0, 3], vec![3, 5], vec![5, 8]);
        let none = Vec::new;
        assert_eq!(found, [none(), low.clone(), low, none(), mid, none(), high.clone(), high, none()]);
    }

    #[test]
    fn without_the_anchors_the_nearest_batch_sizes_stand_for_them() {
        assert_eq!(of(&[0]), [Vec::<usize>::new()]);
        assert_eq!(of(&[]), Vec::<Vec<usize>>::new());
        // 1, 16 and 64 are all nearest to 100; 512 and 4096 to 300.
        assert_eq!(of(&[100, 200, 300]), [vec![], vec![0, 2], vec![]]);
    }
}
