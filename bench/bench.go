// Package bench measures what the library costs. It is nobody's dependency: all
// of it is benchmarks, and tests that the benchmarks work.
//
//	go test -run '^$' -bench . -v github.com/go-login/auth/bench
//
// What it is compared with are other libraries (peers_test.go) and itself, on
// other stores and with more users. Command report prints the former as ratios.
//
// Servers are those that the environment names, as in the tests of the stores;
// see CONTRIBUTING.md. What is measured are ratios within one run, and numbers
// that do not depend on the machine: round trips, bytes, writes.
package bench
