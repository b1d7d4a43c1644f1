// Package bench measures what the library costs. No package imports it: it has
// only benchmarks, and tests that the benchmarks work.
//
//	go test -run '^$' -bench . -v github.com/go-login/auth/bench
//
// The library is compared with other libraries (peers_test.go), and with itself
// on other stores and with more users. Command report prints the comparison
// with other libraries as ratios.
//
// Servers are named in the environment, as in the tests of the stores; see
// CONTRIBUTING.md. The benchmarks measure ratios within one run, and numbers
// that do not depend on the machine: round trips, bytes, writes.
package bench
