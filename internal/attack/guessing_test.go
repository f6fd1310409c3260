package attack_test

import (
	"net/http"
	"slices"
)

func guessingAttacks() []attack { return slices.Concat(guessingDoors(), limitAttacks()) }

// guessingDoors look for a way to try passwords beside POST /sign_in.
func guessingDoors() []attack {
	const doors = "ASVS 6.3.3, CWE-288"
	var list []attack
	for _, path := range []string{"//sign_in", "/sign_in/", "/SIGN_IN", "/sign_in;x", "/./sign_in", "/x/../sign_in", "/sign_in%20", "/sign_in%2f", "/sign_in.json", "/sign_in%00", "/api/sign_in", "/login", "/oauth/token"} {
		list = append(list, attack{"a sign-in at " + path, doors, func(a *arena) {
			p := a.regularPerson()
			body := `{"login":"` + p.name + `","password":"` + p.password + `"}`
			got := a.post(path, body)
			if got.status < 300 || got.status >= 500 || got.token() != "" || got.header.Get("Location") != "" {
				a.Errorf("got %d %s, want nothing there", got.status, got.body)
			}
			a.unharmed(p)
		}})
	}
	return append(list, []attack{
		{"a sign-in by other methods", doors, func(a *arena) {
			p := a.regularPerson()
			for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "Post", "SEARCH"} {
				a.want(a.do(method, "/sign_in", members{"login": p.name, "password": p.password}), http.StatusMethodNotAllowed)
			}
			a.unharmed(p)
		}},
		{"a password by Basic", doors, func(a *arena) {
			p := a.regularPerson()
			r, err := http.NewRequestWithContext(a.Context(), http.MethodGet, a.url+"/user", nil)
			if err != nil {
				a.Fatal(err)
			}
			r.SetBasicAuth(p.name, p.password)
			a.want(a.get("/user", "Authorization: "+r.Header.Get("Authorization")), http.StatusUnauthorized)
			a.unharmed(p)
		}},
		{"many passwords in one request", "CWE-799, CWE-307", func(a *arena) {
			p := a.regularPerson()
			a.want(a.post("/sign_in", members{"login": p.name, "password": []string{"wrong password", p.password}}), http.StatusUnprocessableEntity)
			a.want(a.post("/sign_in", members{"login": []string{p.name, "other"}, "password": p.password}), http.StatusUnprocessableEntity)
			a.want(a.post("/sign_in", []members{{"login": p.name, "password": p.password}}), http.StatusBadRequest)
			a.unharmed(p)
		}},
	}...)
}
