package gitea

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// defaultPage is how many elements of a list Gitea sends if nobody asks for more.
const defaultPage = 30

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(r.Body).Decode(into)
	if err != nil {
		complain(w, http.StatusUnprocessableEntity, "not the JSON that is expected: "+err.Error())
	}
	return err == nil
}

// answerPage sends the page of a list that was asked for, and says by a Link header whether there is a next one.
func answerPage(w http.ResponseWriter, r *http.Request, all []any) {
	page, limit := number(r, "page", 1), number(r, "limit", defaultPage)
	begin := min((page-1)*limit, len(all))
	end := min(begin+limit, len(all))
	if end < len(all) {
		next := *r.URL
		query := next.Query()
		query.Set("page", strconv.Itoa(page+1))
		next.RawQuery = query.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s>; rel="next"`, r.Host, next.String()))
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	answer(w, http.StatusOK, append([]any{}, all[begin:end]...))
}

// number is a positive number of the query.
func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

func complain(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message})
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // fails if the client has gone
}
