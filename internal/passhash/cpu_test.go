package passhash_test

import (
	"testing"
	"testing/fstest"

	"github.com/ideaegg/latchkey/internal/passhash"
)

func TestWorkersFollowTheCPUQuota(t *testing.T) {
	t.Parallel()
	const (
		v1 = "9:name=systemd:/x\n4:memory:/pod/one\n1:cpu,cpuacct:/pod/one\n0::/\n"
		v2 = "0::/pod/one\n"
	)
	type files map[string]string
	for _, tt := range []struct {
		name  string
		cores int
		files files
		want  int
	}{
		{"without cgroups, every core works", 8, files{}, 8},
		{"version 2 without a quota, every core works", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "max 100000\n"}, 8},
		{"a quota of four cores leaves one free", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "400000 100000\n"}, 3},
		{"a broken quota is rounded down", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "390000 100000\n"}, 2},
		{"half a core still has one worker", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "50000 100000\n"}, 1},
		{"a quota above the cores is none", 2, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "400000 100000\n"}, 2},
		{"a quota of exactly the cores is none", 2, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "200000 100000\n"}, 2},
		{"a quota further up counts", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "max 100000", "sys/fs/cgroup/pod/cpu.max": "300000 100000"}, 2},
		{"the smallest quota counts", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/pod/one/cpu.max": "600000 100000", "sys/fs/cgroup/pod/cpu.max": "300000 100000"}, 2},
		{"the quota at the root of a container's mount counts", 8, files{"proc/self/cgroup": v2, "sys/fs/cgroup/cpu.max": "200000 100000"}, 1},
		{"version 1 has a quota", 8, files{"proc/self/cgroup": v1, "sys/fs/cgroup/cpu,cpuacct/pod/one/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu,cpuacct/pod/one/cpu.cfs_period_us": "50000\n"}, 4},
		{"version 1 without a quota, every core works", 8, files{"proc/self/cgroup": v1, "sys/fs/cgroup/cpu,cpuacct/pod/one/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/pod/one/cpu.cfs_period_us": "100000\n"}, 8},
		{"a path above the mount does no harm", 8, files{"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "300000 100000"}, 2},
		{"nonsense is no quota", 4, files{"proc/self/cgroup": "nonsense\n0:\n" + v2, "sys/fs/cgroup/pod/one/cpu.max": "many few\n", "sys/fs/cgroup/cpu.max": "1 0"}, 4},
		{"a period of nothing is no quota", 4, files{"proc/self/cgroup": v2, "sys/fs/cgroup/cpu.max": "100000 0"}, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for name, text := range tt.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := passhash.WorkerCount(root, tt.cores); got != tt.want {
				quota, ok := passhash.CPUQuota(root)
				t.Errorf("got %d workers, want %d (quota %v, %v)", got, tt.want, quota, ok)
			}
		})
	}
}
