package cgroup

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  Limits
	}{
		"no Linux": {nil, Limits{}},
		"a container with its own namespace": {map[string]string{
			"proc/self/cgroup":          "0::/\n",
			"sys/fs/cgroup/cpu.max":     "150000 100000\n",
			"sys/fs/cgroup/memory.max":  "134217728\n",
			"sys/fs/cgroup/a/cpu.max":   "1 100000\n",
			"sys/fs/cgroup/a/other.max": "1\n",
		}, Limits{1.5, 128 << 20}},
		"no limits": {map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/cpu.max":    "max 100000\n",
			"sys/fs/cgroup/memory.max": "max\n",
		}, Limits{}},
		"groups within groups": {map[string]string{
			"proc/self/cgroup":               "1:name=systemd:/x\n0::/a/b\n",
			"sys/fs/cgroup/a/b/cpu.max":      "400000 100000\n",
			"sys/fs/cgroup/a/cpu.max":        "200000 100000\n",
			"sys/fs/cgroup/a/b/memory.max":   "100\n",
			"sys/fs/cgroup/a/memory.max":     "200\n",
			"sys/fs/cgroup/other/memory.max": "1\n",
		}, Limits{2, 100}},
		"version 1": {map[string]string{
			"proc/self/cgroup":         "2:cpu,cpuacct:/a\n1:memory:/a\n",
			"sys/fs/cgroup/memory.max": "100\n",
		}, Limits{}},
		"garbage": {map[string]string{
			"proc/self/cgroup":         "0::/../../etc\n",
			"sys/fs/cgroup/cpu.max":    "-1 0\n",
			"sys/fs/cgroup/memory.max": "9999999999999999999999\n",
		}, Limits{}},
		"no period": {map[string]string{
			"proc/self/cgroup":      "0::/",
			"sys/fs/cgroup/cpu.max": "100000",
		}, Limits{}},
	} {
		files := fstest.MapFS{}
		for path, text := range c.files {
			files[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := Read(files); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	if l := Read(os.DirFS("/")); l.CPUs < 0 || l.Memory < 0 {
		t.Errorf("here: %+v", l)
	}
}
