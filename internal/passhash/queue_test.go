package passhash_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ideaegg/latchkey/internal/passhash"
)

// drain empties q and returns the names in the order of service.
func drain(q *passhash.Queue) string {
	var names []string
	for n := q.Pop(); n != ""; n = q.Pop() {
		names = append(names, n)
	}
	return strings.Join(names, " ")
}

// fill pushes jobs called a1, a2, b1 and so on, where the letter is the client.
func fill(t *testing.T, q *passhash.Queue, names string) {
	t.Helper()
	for name := range strings.FieldsSeq(names) {
		if displaced, admitted := q.Push(name[:1], name); !admitted || displaced != "" {
			t.Fatalf("push %s: got %q displaced, admitted %v", name, displaced, admitted)
		}
	}
}

func TestQueueServesClientsInTurn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"one client is served in order", "a1 a2 a3", "a1 a2 a3"},
		{"two clients alternate", "a1 a2 a3 b1 b2", "a1 b1 a2 b2 a3"},
		{"a latecomer is served after one job of the flood", "a1 a2 a3 a4 a5 b1", "a1 b1 a2 a3 a4 a5"},
		{"three clients take turns", "a1 a2 b1 c1 c2 b2", "a1 b1 c1 a2 b2 c2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := passhash.NewQueue(10)
			fill(t, q, tt.in)
			if diff := cmp.Diff(tt.want, drain(q)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBackgroundNeitherDelaysNorStarves(t *testing.T) {
	t.Parallel()
	q := passhash.NewQueue(40)
	for i := range 4 {
		q.Push(passhash.Background, fmt.Sprintf("mail%d", i))
	}
	for i := range 36 {
		q.Push(fmt.Sprintf("client%d", i%7), fmt.Sprintf("x%d", i))
	}
	if displaced, admitted := q.Push(passhash.Background, "mail4"); !admitted || displaced != "" {
		t.Errorf("push to a full queue: got %q displaced, admitted %v", displaced, admitted)
	}
	var places []int
	for i, name := range strings.Fields(drain(q)) {
		if strings.HasPrefix(name, "mail") {
			places = append(places, i)
		}
	}
	if diff := cmp.Diff([]int{15, 31, 38, 39, 40}, places); diff != "" { // every 16th, and the rest when nobody waits
		t.Error(diff)
	}
}

func TestFloodingClientCannotStarveAnother(t *testing.T) {
	t.Parallel()
	q := passhash.NewQueue(16)
	admitted := 0
	for i := range 1000 { // the flood arrives 20 times as fast as it is served
		q.Push("flood", fmt.Sprintf("f%d", i))
		if i%50 == 0 {
			name := fmt.Sprintf("v%d", i)
			if _, ok := q.Push("victim", name); !ok {
				t.Fatalf("push %s: not admitted", name)
			}
			admitted++
		}
		if i%20 == 0 {
			q.Pop()
		}
	}
	if got := q.WaitingOf("victim"); got > 1 {
		t.Errorf("got %d of %d jobs of the victim still waiting, want at most 1", got, admitted)
	}
}

func TestFullQueueTakesFromTheLongestLane(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, push string
		displaced      string
		admitted       bool
		after          string
	}{
		{"a newcomer takes the flood's newest place", "a1 a2 a3 a4", "b1", "a4", true, "a1 b1 a2 a3"},
		{"the flood itself is refused", "a1 a2 a3 a4", "a5", "", false, "a1 a2 a3 a4"},
		{"a client with fewer jobs takes a place", "a1 a2 a3 b1", "b2", "a3", true, "a1 b1 a2 b2"},
		{"a client with one job less gains nothing", "a1 a2 b1 c1", "b2", "", false, "a1 b1 c1 a2"},
		{"a crowd of single jobs is left alone", "a1 b1 c1 d1", "e1", "", false, "a1 b1 c1 d1"},
		{"of two floods the one that is served later gives way", "a1 b1 a2 b2", "c1", "b2", true, "a1 b1 c1 a2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := passhash.NewQueue(4)
			fill(t, q, tt.in)
			displaced, admitted := q.Push(tt.push[:1], tt.push)
			if displaced != tt.displaced || admitted != tt.admitted {
				t.Errorf("got %q displaced, admitted %v, want %q, %v", displaced, admitted, tt.displaced, tt.admitted)
			}
			if diff := cmp.Diff(tt.after, drain(q)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestQueueForgetsWhatIsRemoved(t *testing.T) {
	t.Parallel()
	q := passhash.NewQueue(10)
	fill(t, q, "a1 a2 a3 b1")
	for _, name := range []string{"a2", "b1"} {
		if !q.Remove(name) {
			t.Errorf("remove %s: got false, want true", name)
		}
		if q.Remove(name) {
			t.Errorf("remove %s again: got true, want false", name)
		}
	}
	if diff := cmp.Diff("a1 a3", drain(q)); diff != "" {
		t.Error(diff)
	}
	if q.Remove("a1") {
		t.Error("remove a served job: got true, want false")
	}
	if q.Waiting() != 0 || q.Lanes() != 0 {
		t.Errorf("got %d waiting, %d lanes, want none", q.Waiting(), q.Lanes())
	}
}

// TestQueueKeepsItsPromises checks arbitrary histories: nothing is lost or served twice, the bound holds, each client is
// served in order, and no client is served twice while another one waits.
func TestQueueKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		q := passhash.NewQueue(limit)
		waiting := map[string][]string{} // client → names in order
		total := 0
		last := map[string]int{} // client → turn of its last service or of its coming to wait
		for turn := range rapid.IntRange(1, 60).Draw(t, "steps") {
			client := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "client")
			switch rapid.SampledFrom([]string{"push", "push", "pop", "remove"}).Draw(t, "step") {
			case "push":
				name := fmt.Sprintf("%s%d", client, turn)
				displaced, admitted := q.Push(client, name)
				if displaced != "" {
					from := displaced[:1]
					if names := waiting[from]; names[len(names)-1] != displaced || len(names) <= len(waiting[client])+1 {
						t.Fatalf("%s displaced %s of %v", name, displaced, names)
					}
					waiting[from] = waiting[from][:len(waiting[from])-1]
					total--
				}
				if !admitted {
					if total < limit {
						t.Fatalf("%s not admitted with %d of %d waiting", name, total, limit)
					}
					continue
				}
				if len(waiting[client]) == 0 {
					last[client] = turn
				}
				waiting[client] = append(waiting[client], name)
				total++
			case "pop":
				name := q.Pop()
				if name == "" {
					if total != 0 {
						t.Fatalf("got nothing with %d waiting", total)
					}
					continue
				}
				served := name[:1]
				if waiting[served][0] != name {
					t.Fatalf("got %s, want %s first", name, waiting[served][0])
				}
				for other, names := range waiting {
					if len(names) > 0 && last[other] < last[served] {
						t.Fatalf("got %s although client %s has waited longer", name, other)
					}
				}
				waiting[served] = waiting[served][1:]
				last[served] = turn
				total--
			case "remove":
				if names := waiting[client]; len(names) > 0 {
					if !q.Remove(names[0]) {
						t.Fatalf("remove %s: got false", names[0])
					}
					waiting[client] = names[1:]
					total--
				}
			}
			if q.Waiting() != total || total > limit {
				t.Fatalf("got %d waiting, want %d of at most %d", q.Waiting(), total, limit)
			}
		}
	})
}
