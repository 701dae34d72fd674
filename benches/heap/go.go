// Go's allocator and its profile, measured as the Rust ones are.
//
//	go WORK RATE [SIZE|GOROUTINES]
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Such objects are on the heap.
var sink []byte
var kept [][]byte

//go:noinline
func allocate(size int) []byte { return make([]byte, size) }

// The least of some stretches of count operations, in nanoseconds each.
func least(stretches, count int, stretch func()) float64 {
	best := 0.0
	for i := range stretches {
		start := time.Now()
		stretch()
		each := float64(time.Since(start).Nanoseconds()) / float64(count)
		if i == 0 || each < best {
			best = each
		}
	}
	return best
}

func pair(size int) float64 {
	count := 200000
	if size > 4096 {
		count = 2000
	}
	return least(20, count, func() {
		for range count {
			sink = allocate(size)
		}
	})
}

func batch(size int) float64 {
	const objects, batches = 4096, 20
	kept = make([][]byte, objects)
	return least(20, objects*batches, func() {
		for range batches {
			for i := range kept {
				kept[i] = allocate(size)
			}
		}
	})
}

var each = sync.Pool{New: func() any { return new([]byte) }}

func threads(goroutines int) float64 {
	const count = 200000
	return least(5, count*goroutines, func() {
		var group sync.WaitGroup
		for range goroutines {
			group.Add(1)
			go func() {
				defer group.Done()
				mine := each.Get().(*[]byte)
				for range count {
					*mine = allocate(64)
				}
				each.Put(mine)
			}()
		}
		group.Wait()
	})
}

func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func program() float64 {
	var text strings.Builder
	for n := range uint32(20000) {
		fmt.Fprintf(&text, "%d ", n*2654435761%5000)
	}
	run := func() int {
		counts := make(map[string][]uint32)
		for place, word := range strings.Split(text.String(), " ") {
			word := fmt.Sprintf("word-%s-%d", word, place%7)
			counts[word] = append(counts[word], uint32(place))
		}
		lines := make([]string, 0, len(counts))
		for word, places := range counts {
			lines = append(lines, fmt.Sprintf("%s: %v", word, places))
		}
		sort.Strings(lines)
		return len(strings.Join(lines, ""))
	}
	best := 0.0
	for i := range 12 {
		start := cpu()
		for range 5 {
			run()
		}
		each := float64((cpu() - start).Nanoseconds()) / 5e6
		if i == 0 || each < best {
			best = each
		}
	}
	return best
}

func resident() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	return kb / 1024
}

func memory() float64 {
	random, sum := uint64(1), 0
	for sum < 200<<20 {
		random = random*6364136223846793005 + 1
		size := 64 + int((random>>33)%1000*4)
		object := allocate(size)
		for i := range object {
			object[i] = 1
		}
		kept = append(kept, object)
		sum += size
	}
	return resident()
}

// From a stack that the lowest bits tell.
//
//go:noinline
func allocateFrom(number, bits int) []byte {
	if bits == 0 {
		return allocate(64)
	}
	if number>>(bits-1)&1 == 0 {
		return allocateFrom(number, bits-1)
	}
	object := allocateFrom(number, bits-1)
	sink = object
	return object
}

func snapshot() float64 {
	for n := range 20000 {
		kept = append(kept, allocateFrom(n, 10))
	}
	runtime.MemProfileRate = 0
	// What is in the profile is as of the last collection.
	runtime.GC()
	var taken bytes.Buffer
	take := func() {
		taken.Reset()
		pprof.Lookup("heap").WriteTo(&taken, 0)
	}
	take()
	return least(10, 1, take) / 1e6
}

func main() {
	runtime.MemProfileRate, _ = strconv.Atoi(os.Args[2])
	number, _ := strconv.Atoi(os.Args[3])
	var value float64
	switch os.Args[1] {
	case "pair":
		value = pair(number)
	case "batch":
		value = batch(number)
	case "threads":
		value = threads(number)
	case "program":
		value = program()
	case "memory":
		value = memory()
	case "snapshot":
		value = snapshot()
	}
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	fmt.Println("figures", value, float64(usage.Maxrss)/1024)
}
