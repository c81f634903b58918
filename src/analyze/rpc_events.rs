//! What calls become: dce_rpc, scheduled_task, service and ntlm events.

use crate::events::dce_rpc::DceRpc;
use crate::events::head::interval;
use crate::events::ntlm::Ntlm;
use crate::events::scheduled_task::ScheduledTask;
use crate::events::service::Service;
use crate::events::{Event, Head};
use crate::flow::Way;
use crate::identity::account::Account;
use crate::identity::logon::Logon;
use crate::identity::tickets::Tickets;
use crate::rpc::{Call, Described, RpcEvent, names};

/// What is known of the association that a call came over.
pub(super) struct Over<'a> {
    /// The connection.
    pub head: &'a Head,
    /// The pipe, or the secondary address of its bind.
    pub pipe: Option<&'a str>,
    /// Whose session it is.
    pub account: Option<Account>,
}

/// The association's own logon.
#[derive(Default)]
pub(super) struct RpcLogon {
    logon: Logon,
    told: bool,
}

/// The events of what an association tells.
pub(super) fn events(told: RpcEvent, over: &Over<'_>, own: &mut RpcLogon, tickets: &Tickets, out: &mut Vec<Event>) {
    match told {
        RpcEvent::Bound(_) | RpcEvent::Odd(_) => {}
        RpcEvent::Token { way, at, token, .. } => {
            if own.told && way == Way::ToServer {
                // A further security context, after an alter_context.
                *own = RpcLogon::default();
            }
            own.logon.token(way, &token, None, tickets);
            let is_named = own.logon.ntlm.as_ref().is_some_and(|n| n.authenticate.is_some());
            if way == Way::ToServer && is_named && !std::mem::replace(&mut own.told, true) {
                out.extend(Ntlm::of(over.head.at(at.time), &own.logon).map(|e| Event::Ntlm(Box::new(e))));
            }
        }
        RpcEvent::Call(call) => {
            let account = own.logon.account().or_else(|| over.account.clone());
            described(&call, over, account.as_ref(), out);
            out.push(Event::DceRpc(Box::new(dce_rpc(*call, over, account))));
        }
    }
}

fn dce_rpc(call: Call, over: &Over<'_>, account: Option<Account>) -> DceRpc {
    let uuid = call.interface.map(|i| i.uuid);
    DceRpc {
        head: over.head.at(call.asked.time),
        rtt: call.round_trip_ns().map(interval),
        named_pipe: over.pipe.map(str::to_string),
        endpoint: uuid.map(names::endpoint_or_unknown),
        operation: uuid.map(|u| names::operation_or_unknown(u, call.opnum)),
        operation_alias: uuid.and_then(|u| names::operation_alias(u, call.opnum)).map(str::to_string),
        interface_uuid: uuid.map(|u| u.to_string()),
        opnum: Some(call.opnum),
        sealed: call.sealed,
        arguments: call.arguments.unwrap_or(serde_json::Value::Null),
        account,
    }
}

fn described(call: &Call, over: &Over<'_>, account: Option<&Account>, out: &mut Vec<Event>) {
    let via = call.interface.and_then(|i| names::endpoint(i.uuid)).unwrap_or("dce_rpc").to_string();
    let head = over.head.at(call.asked.time);
    match &call.described {
        None => {}
        Some(Described::ScheduledTask(task)) => {
            let first = task.commands.first();
            let name = task.path.clone().or_else(|| task.job_id.map(crate::rpc::atsvc::job_file));
            out.push(Event::ScheduledTask(Box::new(ScheduledTask {
                head,
                action: format!("{:?}", task.action).to_lowercase(),
                via,
                name,
                command: first.map(|c| c.command.clone()),
                command_arguments: first.and_then(|c| c.arguments.clone()),
                run_as: task.account.clone(),
                xml: task.xml.clone(),
                success: task.succeeded,
                account: account.cloned(),
            })));
        }
        Some(Described::Service(service)) => out.push(Event::Service(Box::new(Service {
            head,
            action: format!("{:?}", service.action).to_lowercase(),
            name: service.name.clone(),
            display_name: service.display_name.clone(),
            binary_path: service.binary_path.clone(),
            run_as: service.account.clone(),
            success: service.succeeded,
            account: account.cloned(),
        }))),
    }
}
