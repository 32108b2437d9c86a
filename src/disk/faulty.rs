//! A disk that forgets what was not synced, for power-loss tests.
