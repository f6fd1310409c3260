package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is what a process and its children hold, in MiB.
type memory struct {
	resident float64 // now
	peak     float64 // at most so far, each process by itself
	shared   float64 // now, pages of several processes counted once (PSS)
	children float64 // the children's part of resident
}

// memoryOf reads /proc, which Linux has; ok is false elsewhere.
func memoryOf(pid int) (m memory, ok bool) {
	m, ok = memoryOfProcess(pid)
	if !ok {
		return m, false
	}
	for _, child := range childrenOf(pid) {
		if c, ok := memoryOfProcess(child); ok { // it may be gone again
			m.resident += c.resident
			m.peak += c.peak
			m.shared += c.shared
			m.children += c.resident
		}
	}
	return m, true
}

func memoryOfProcess(pid int) (m memory, ok bool) {
	status, err := fieldsOf(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, false
	}
	m.resident, m.peak = status["VmRSS"]/1024, status["VmHWM"]/1024
	if rollup, err := fieldsOf(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		m.shared = rollup["Pss"] / 1024
	}
	return m, true
}

// fieldsOf reads lines such as "VmRSS:   12345 kB".
func fieldsOf(path string) (map[string]float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := map[string]float64{}
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if !ok || len(words) == 0 {
			continue
		}
		if v, err := strconv.ParseFloat(words[0], 64); err == nil {
			fields[name] = v
		}
	}
	return fields, nil
}

func childrenOf(pid int) []int {
	var list []int
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(list, child)
			}
		}
	}
	return list
}

// cpuTimes are the machine's ticks since it started.
func cpuTimes() (busy, total float64, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, false
	}
	scanner := bufio.NewScanner(bytes.NewReader(b))
	scanner.Scan()
	words := strings.Fields(scanner.Text()) // cpu user nice system idle iowait irq softirq steal …
	if len(words) < 9 || words[0] != "cpu" {
		return 0, 0, false
	}
	for i, word := range words[1:9] {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return 0, 0, false
		}
		total += v
		if i != 3 && i != 4 {
			busy += v
		}
	}
	return busy, total, true
}
