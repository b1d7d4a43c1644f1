# The commands of this repository, for those who look for them here.
.PHONY: run test ci fuzz bench vulnerabilities

run: # an application to try things in
	go run ./examples/quickstart

test: # about three minutes; needs only Go
	go test work

ci: # everything, with servers and a browser
	.ci/run

fuzz: # every fuzz target, a minute each
	.ci/fuzz 1m

bench: # beside other libraries
	go run ./bench/report

vulnerabilities: # needs vuln.go.dev
	.ci/vulnerabilities
