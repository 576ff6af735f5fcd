// Package harness starts the real parts that the end-to-end tests need: Apache
// Kafka with one broker or three, Apicurio Registry, Redis, Tryton, and the
// stockweave binary itself, one process a service.
//
// Everything listens on free loopback ports and lives in one temporary folder of
// the test process. A warden, a small process of its own, holds the other end of
// a pipe: when the test process ends, however it ends, the warden kills what is
// left and removes the folder.
//
// Downloads are kept outside the repository, in STOCKWEAVE_CACHE or the user's
// cache folder. What a machine lacks is installed where that is possible;
// otherwise the test is skipped with a loud NOT RUN, or fails where CI=true.
//
// STOCKWEAVE_KEEP=1 keeps the temporary folder with the logs of every part.
package harness
