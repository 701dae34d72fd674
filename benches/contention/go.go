// Go's locks and channels, measured as the Rust ones are: nanoseconds between two operations of all goroutines.
//
//	go PRIMITIVE GOROUTINES MICROSECONDS on|off
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const window = 300 * time.Millisecond

var sink uint64

// The same work as the Rust contenders'.
func work(microseconds int) {
	x := uint64(88172645463325252)
	for i := 0; i < microseconds*300; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	atomic.StoreUint64(&sink, x)
}

func throughput(goroutines int, operation func()) float64 {
	var stop atomic.Bool
	var done atomic.Uint64
	var group sync.WaitGroup
	start := time.Now()
	for range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			count := uint64(0)
			for !stop.Load() {
				operation()
				count++
			}
			done.Add(count)
		}()
	}
	time.Sleep(window)
	stop.Store(true)
	elapsed := time.Since(start)
	group.Wait()
	return float64(elapsed.Nanoseconds()) / float64(done.Load())
}

func transfer(goroutines, capacity, microseconds int) float64 {
	channel := make(chan uint64, capacity)
	if goroutines == 1 {
		return throughput(1, func() {
			channel <- 1
			<-channel
			pause(microseconds)
		})
	}
	half := goroutines / 2
	var stop atomic.Bool
	var received atomic.Uint64
	var senders, receivers sync.WaitGroup
	start := time.Now()
	for range half {
		senders.Add(1)
		go func() {
			defer senders.Done()
			for !stop.Load() {
				channel <- 1
				pause(microseconds)
			}
		}()
		receivers.Add(1)
		go func() {
			defer receivers.Done()
			count := uint64(0)
			for range channel {
				count++
				pause(microseconds)
			}
			received.Add(count)
		}()
	}
	time.Sleep(window)
	stop.Store(true)
	senders.Wait()
	close(channel)
	receivers.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(received.Load())
}

func pause(microseconds int) {
	if microseconds > 0 {
		work(microseconds)
	}
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: PRIMITIVE GOROUTINES MICROSECONDS on|off")
		os.Exit(2)
	}
	goroutines, _ := strconv.Atoi(os.Args[2])
	microseconds, _ := strconv.Atoi(os.Args[3])
	if os.Args[4] == "on" {
		runtime.SetMutexProfileFraction(100)
		runtime.SetBlockProfileRate(10000)
	}
	var mutex sync.Mutex
	var rwlock sync.RWMutex
	var figure float64
	switch os.Args[1] {
	case "mutex":
		figure = throughput(goroutines, func() {
			mutex.Lock()
			pause(microseconds)
			mutex.Unlock()
			pause(microseconds)
		})
	case "rwlock-read":
		figure = throughput(goroutines, func() {
			rwlock.RLock()
			pause(microseconds)
			rwlock.RUnlock()
			pause(microseconds)
		})
	case "rwlock-write":
		figure = throughput(goroutines, func() {
			rwlock.Lock()
			pause(microseconds)
			rwlock.Unlock()
			pause(microseconds)
		})
	case "channel":
		figure = transfer(goroutines, 128, microseconds)
	case "rendezvous":
		figure = transfer(goroutines, 0, microseconds)
	default:
		fmt.Fprintln(os.Stderr, "no such primitive:", os.Args[1])
		os.Exit(2)
	}
	fmt.Printf("figures %f 0\n", figure)
}
