//! Threads whose joins and parks are profiled.
