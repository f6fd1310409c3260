package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/ideaegg/latchkey/bench/report"
)

// describeMachine says on what the run is made. What a system does not tell stays empty.
func describeMachine(program, dir string) report.Machine {
	m := report.Machine{
		Date:   time.Now().UTC().Format("2006-01-02 15:04 MST"),
		CPU:    cpuModel(),
		Cores:  runtime.NumCPU(),
		System: runtime.GOOS + "/" + runtime.GOARCH,
		Go:     runtime.Version(),
	}
	if info, err := buildinfo.ReadFile(program); err == nil {
		m.Go, m.Commit = info.GoVersion, commitOf(info)
	}
	if fields, err := fieldsOf("/proc/meminfo"); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", fields["MemTotal"]/(1<<20))
	}
	m.Storage = filesystemOf(dir)
	m.Busy = busyNow(time.Second)
	return m
}

// commitOf is what the go command wrote into the program, if it did.
func commitOf(info *buildinfo.BuildInfo) string {
	commit, modified := "", false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	return shortCommit(commit, modified)
}

// checkedOut is the commit of the working folder. The go command does not stamp a program that is built in a second
// worktree.
func checkedOut(ctx context.Context) string {
	revision, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output()
	return shortCommit(strings.TrimSpace(string(revision)), err != nil || len(changes) > 0)
}

func shortCommit(commit string, modified bool) string {
	commit = commit[:min(len(commit), 12)]
	if modified && commit != "" {
		commit += " with changes"
	}
	return commit
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// filesystemOf is the kind of file system that a folder lies in: on a tmpfs nothing is ever written to a disk.
func filesystemOf(dir string) string {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	kind, longest := "", 0
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line) // device, folder, kind, …
		if len(words) < 3 {
			continue
		}
		at := strings.TrimSuffix(words[1], "/") + "/"
		if strings.HasPrefix(dir+"/", at) && len(at) >= longest {
			kind, longest = words[2], len(at)
		}
	}
	return kind
}

// busyNow watches for a while how much of the machine is used, by others, as this program does nothing meanwhile.
func busyNow(d time.Duration) *float64 {
	busy, total, ok := cpuTimes()
	if !ok {
		return nil
	}
	time.Sleep(d)
	busyLater, totalLater, ok := cpuTimes()
	if !ok || totalLater == total {
		return nil
	}
	share := (busyLater - busy) / (totalLater - total)
	return &share
}
