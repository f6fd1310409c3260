package passhash

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// workerCount returns how many hashes to compute at once on a machine with so many cores. root is the root of
// the file system.
//
// Without a quota it is one for each core: the helper's low priority keeps them out of everyone's way. A CPU
// quota (Linux cgroup) below the cores is spent by whoever runs, whatever the priority, and once it is spent
// everything stands still until the next period. So one whole core of the quota stays free of hashing: the
// quota less one, rounded down, but at least one.
func workerCount(root fs.FS, cores int) int {
	quota, ok := cpuQuota(root)
	if !ok || quota >= float64(cores) {
		return max(1, cores)
	}
	return max(1, int(quota-1))
}

// cpuQuota returns the smallest CPU quota, in cores, of this process's cgroup and those above it, and whether
// there is any. It looks where every distribution and container engine mounts cgroups, /sys/fs/cgroup.
// Files that are absent or unreadable count as no quota.
func cpuQuota(root fs.FS) (float64, bool) {
	lines, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	least, found := 0.0, false
	for line := range strings.Lines(string(lines)) {
		// cgroups(7): hierarchy-ID:controller-list:cgroup-path; version 2 has ID 0 and no list.
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		id, controllers, group := fields[0], fields[1], path.Clean("/"+fields[2])
		var quotaAt func(dir string) (float64, bool)
		switch {
		case id == "0" && controllers == "":
			quotaAt = func(dir string) (float64, bool) { return quotaV2(root, path.Join("sys/fs/cgroup", dir)) }
		case hasController(controllers, "cpu"):
			quotaAt = func(dir string) (float64, bool) {
				return quotaV1(root, path.Join("sys/fs/cgroup", controllers, dir))
			}
		default:
			continue
		}
		// Upwards to the root: a limit binds everything below it, and in a container the path may be the
		// host's while the mount shows the container's own group at its root.
		for {
			if quota, ok := quotaAt(group); ok && (!found || quota < least) {
				least, found = quota, true
			}
			if group == "/" {
				break
			}
			group = path.Dir(group)
		}
	}
	return least, found
}

// quotaV2 reads cpu.max, "QUOTA PERIOD" in microseconds, where QUOTA may be "max".
func quotaV2(root fs.FS, dir string) (float64, bool) {
	text, err := fs.ReadFile(root, path.Join(dir, "cpu.max"))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return 0, false
	}
	return ratio(fields[0], fields[1])
}

// quotaV1 reads cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us.
func quotaV1(root fs.FS, dir string) (float64, bool) {
	quota, err := fs.ReadFile(root, path.Join(dir, "cpu.cfs_quota_us"))
	if err != nil {
		return 0, false
	}
	period, err := fs.ReadFile(root, path.Join(dir, "cpu.cfs_period_us"))
	if err != nil {
		return 0, false
	}
	return ratio(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

// ratio returns quota/period; anything but two positive integers is no quota.
func ratio(quota, period string) (float64, bool) {
	q, err := strconv.ParseInt(quota, 10, 64)
	if err != nil || q <= 0 {
		return 0, false
	}
	p, err := strconv.ParseInt(period, 10, 64)
	if err != nil || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}
