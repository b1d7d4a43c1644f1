// Package cgroup reads how much of the machine a container may use: the limits of Linux
// control groups, version 2.
package cgroup

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Limits are the limits of the process. Zero means that there is none, or that it is not
// known.
type Limits struct {
	CPUs   float64 // processors, such as 0.5
	Memory int64   // bytes
}

// Read returns the limits of this process. root is the file system of the machine:
// os.DirFS("/"). A group has at most what the groups around it have, so the least limit
// counts.
func Read(root fs.FS) (l Limits) {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return l
	}
	_, group, found := strings.Cut("\n"+string(own), "\n0::")
	if !found {
		return l
	}
	group, _, _ = strings.Cut(group, "\n")
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		dir := path.Join("sys/fs/cgroup", group)
		if cpus := readCPUs(root, dir); cpus > 0 && (l.CPUs == 0 || cpus < l.CPUs) {
			l.CPUs = cpus
		}
		if memory := readNumber(root, path.Join(dir, "memory.max")); memory > 0 && (l.Memory == 0 || memory < l.Memory) {
			l.Memory = memory
		}
		if group == "/" {
			return l
		}
	}
}

// readCPUs reads cpu.max: "50000 100000" is half a processor, "max 100000" no limit.
func readCPUs(root fs.FS, dir string) float64 {
	text, err := fs.ReadFile(root, path.Join(dir, "cpu.max"))
	if err != nil {
		return 0
	}
	quota, period, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	q, err := strconv.ParseInt(quota, 10, 64)
	if err != nil || q <= 0 {
		return 0
	}
	p, err := strconv.ParseInt(period, 10, 64)
	if err != nil || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}

// readNumber returns the number in a file, or 0.
func readNumber(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
