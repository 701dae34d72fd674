//! The index: which words are in which articles, and how often.

use std::collections::HashMap;

use pprof_runtime::profile;

/// Articles kept; the oldest are forgotten, so that the service can run for days.
const MAX_ARTICLES: u64 = 2_000;

/// An inverted index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// For each stem, articles in ascending order with the number of times it is in them.
    postings: HashMap<String, Vec<(u64, u32)>>,
    newest: u64,
}

impl Index {
    /// Adds an article's stems.
    #[profile]
    pub(crate) fn add(&mut self, article: u64, stems: &[String]) {
        self.newest = self.newest.max(article);
        let oldest = self.newest.saturating_sub(MAX_ARTICLES);
        for stem in stems {
            let list = self.postings.entry(stem.clone()).or_default();
            match list.last_mut() {
                Some((last, count)) if *last == article => *count += 1,
                _ => list.push((article, 1)),
            }
            if list.first().is_some_and(|(first, _)| *first < oldest) && list.len() > 4_000 {
                list.retain(|(article, _)| *article >= oldest);
            }
        }
    }

    /// The ten articles that match best, the best first.
    #[profile]
    pub(crate) fn search(&self, stems: &[String]) -> Vec<u64> {
        let mut scores: HashMap<u64, f64> = HashMap::new();
        for stem in stems {
            let Some(list) = self.postings.get(stem) else { continue };
            // A word that is everywhere tells little.
            let weight = (1.0 + self.newest as f64 / list.len() as f64).ln();
            for (article, count) in list {
                *scores.entry(*article).or_default() += weight * f64::from(*count).sqrt();
            }
        }
        let mut ranked: Vec<(u64, f64)> = scores.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.into_iter().take(10).map(|(article, _)| article).collect()
    }
}
