def test_no_page_and_no_fragment_is_kept_by_a_browser(bob_client, client):
    for page in ("/networking/proxy-clusters/", "/audit/activities/", "/settings/security/", "/nothing/"):
        for who in (bob_client, client):
            for headers in ({}, {"HX-Request": "true"}):
                response = who.get(page, headers=headers)
                assert "no-store" in response.headers["Cache-Control"], page
                assert "HX-Request" in response.headers["Vary"], page
