//! The commands of the program that speak to a server: put, tail, streams, health.
