package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// restartAfter is the wait before a process that has ended is replaced. A
	// program that cannot run therefore does not keep the machine busy.
	restartAfter = time.Second

	// stopWithin is how long a process may take to end. After that it is
	// killed.
	stopWithin = 15 * time.Second
)

// Processes are copies of this program that are kept running.
type processes struct {
	addresses *addresses
	env       []string
	stdout    io.Writer // receives their output
	log       *slog.Logger
}

// A process is one of the copies. Its slot is the index of its address.
type process struct {
	slot   int
	cmd    *exec.Cmd
	stdout *bufio.Reader
}

func newProcesses(count int, stdout io.Writer, env ...string) *processes {
	return &processes{
		addresses: newAddresses(count), env: append(os.Environ(), env...),
		stdout: stdout, log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
}

// start starts a process, which ends when ctx is done, and waits until it
// serves.
func (s *processes) start(ctx context.Context, slot int) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, os.Args[1:]...)
	cmd.Env = slices.Concat(s.env, []string{fmt.Sprintf("%s=%d", numberVar, slot+1)})
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // closed when this process ends, however it ends
	if err != nil {
		return nil, err
	}
	cmd.Cancel, cmd.WaitDelay = stdin.Close, stopWithin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{slot, cmd, bufio.NewReader(stdout)}
	address, err := p.stdout.ReadString('\n')
	if err != nil { // the process has printed the reason
		return nil, fmt.Errorf("process %d did not start: %w", slot+1, cmd.Wait())
	}
	address = strings.TrimSpace(address)
	fmt.Fprintf(s.stdout, "Process %d (pid %d) listens on %s\n", slot+1, cmd.Process.Pid, address)
	s.addresses.set(slot, address)
	return p, nil
}

// keep waits for the end of a process and then starts another one in its place,
// until ctx is done.
func (s *processes) keep(ctx context.Context, p *process) {
	for slot := p.slot; ; {
		var err error
		if p != nil {
			_, _ = io.Copy(s.stdout, p.stdout) // until the process ends
			s.addresses.set(slot, "")
			err = p.cmd.Wait()
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("a process has ended and will be replaced", slog.Int("process", slot+1), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return
		case <-time.After(restartAfter):
		}
		if p, err = s.start(ctx, slot); err != nil {
			s.log.Error("starting a process", slog.Any("error", err))
		}
	}
}
