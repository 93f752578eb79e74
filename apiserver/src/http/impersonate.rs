//! Acting as somebody else: the `Impersonate-*` headers. Pure.
//!
//! See `apiserver/pkg/endpoints/filters/impersonation.go`. Until there is RBAC only `system:masters` may.

use http::HeaderMap;
use skiff_proto::identity::UserInfo;
use skiff_proto::status::Status;

use crate::error::failure;

/// The user to act as: who the headers name, if `user` may be that, else `user`.
pub fn act_as(user: UserInfo, headers: &HeaderMap) -> Result<UserInfo, Status> {
    let name = text(headers, "impersonate-user").next();
    let mut groups: Vec<String> = text(headers, "impersonate-group").collect();
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        if groups.is_empty() {
            return Ok(user);
        }
        let asked: Vec<String> = groups.iter().map(|group| format!("{{Group  {group}    }}")).collect();
        return Err(failure::bad_request(format!("requested [{}] without impersonating a user", asked.join(" "))));
    };
    if !user.in_group(UserInfo::MASTERS) {
        let why = format!("User {:?} cannot impersonate resource \"users\" in API group \"\" at the cluster scope", user.name);
        return Err(failure::forbidden("users", &name, &why));
    }
    if let Some(account) = name.strip_prefix("system:serviceaccount:")
        && let Some((namespace, _)) = account.split_once(':')
        && groups.is_empty()
    {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let known = if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" };
    if !groups.iter().any(|group| matches!(group.as_str(), "system:authenticated" | "system:unauthenticated")) {
        groups.push(known.to_owned());
    }
    Ok(UserInfo { name, groups, ..UserInfo::default() })
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = String> + 'a {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_administrator_may_be_anybody() {
        let jane = act_as(UserInfo::admin(), &headers(&[("impersonate-user", "jane"), ("impersonate-group", "devs")])).unwrap();
        assert_eq!(jane, UserInfo::new("jane", &["devs"]));
        let robot = act_as(UserInfo::admin(), &headers(&[("impersonate-user", "system:serviceaccount:d:robot")])).unwrap();
        assert_eq!(robot.groups, ["system:serviceaccounts", "system:serviceaccounts:d", "system:authenticated"]);
        assert_eq!(act_as(UserInfo::admin(), &headers(&[])).unwrap(), UserInfo::admin());
    }

    #[test]
    fn nobody_else_may() {
        let node = UserInfo::new("system:node:n", &[UserInfo::NODES]);
        let refused = act_as(node, &headers(&[("impersonate-user", "admin")])).unwrap_err();
        assert_eq!(
            refused.message,
            "users \"admin\" is forbidden: User \"system:node:n\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
        );
        let groups = act_as(UserInfo::admin(), &headers(&[("impersonate-group", "devs")])).unwrap_err();
        assert_eq!(groups.message, "requested [{Group  devs    }] without impersonating a user");
    }
}
