//! A set of numbers that mostly stand beside each other, as ranges. Persisted as `[[first, last], …]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers as ascending ranges `(first, last)` that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NumberSet(Vec<(u32, u32)>);

impl NumberSet {
    /// How many numbers.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is in it.
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(at).is_some_and(|(first, _)| *first <= number)
    }

    /// The largest number.
    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|(_, last)| *last)
    }

    /// Whether both have a number.
    pub fn meets(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some((first, last)), Some((other_first, other_last))) = (mine.peek(), theirs.peek()) {
            if last < other_first {
                mine.next();
            } else if other_last < first {
                theirs.next();
            } else {
                return true;
            }
        }
        false
    }

    /// Adds the numbers of another set.
    pub fn extend(&mut self, other: &Self) {
        let mut all = std::mem::take(&mut self.0);
        all.extend_from_slice(&other.0);
        all.sort_unstable();
        for (first, last) in all {
            match self.0.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => self.0.push((first, last)),
            }
        }
    }
}

impl FromIterator<u32> for NumberSet {
    fn from_iter<T: IntoIterator<Item = u32>>(numbers: T) -> Self {
        let mut set = Self::default();
        set.extend(&Self(numbers.into_iter().map(|number| (number, number)).collect()));
        set
    }
}

impl Serialize for NumberSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NumberSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ranges = Vec::<(u32, u32)>::deserialize(deserializer)?;
        let ascend = ranges.iter().all(|(first, last)| first <= last)
            && ranges.windows(2).all(|pair| pair[0].1.checked_add(1).is_some_and(|next| next < pair[1].0));
        if ascend { Ok(Self(ranges)) } else { Err(serde::de::Error::custom("ranges that do not ascend")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(a in proptest::collection::vec(0u32..40, 0..30), b in proptest::collection::vec(0u32..40, 0..30)) {
            let (mut set, other): (NumberSet, NumberSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (mut model, other_model): (BTreeSet<u32>, BTreeSet<u32>) = (a.into_iter().collect(), b.into_iter().collect());
            prop_assert_eq!(set.meets(&other), !model.is_disjoint(&other_model));
            set.extend(&other);
            model.extend(&other_model);
            prop_assert_eq!((set.len(), set.last()), (model.len() as u64, model.last().copied()));
            prop_assert!((0..41).all(|number| set.contains(number) == model.contains(&number)));
            let text = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(serde_json::from_str::<NumberSet>(&text).unwrap(), set);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["[[2,1]]", "[[1,2],[3,4]]", "[[4,5],[1,2]]", "[[0,4294967295],[0,1]]", "[1]", "{}"] {
            assert!(serde_json::from_str::<NumberSet>(text).is_err(), "{text}");
        }
    }
}
