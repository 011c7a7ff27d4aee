//! placeholder replaced at merge
