with contacts as (

    select * from {{ ref('stg_service__contacts') }}
    where is_latest_version

),

customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

-- A customer stays in a segment until a later month was scored.
segments as (

    select
        customer_key,
        segment_id,
        segment_name,
        segment_name_zh,
        as_of_month_number,
        lead(as_of_month_number) over (partition by customer_key order by as_of_month_number) as next_month_number
    from {{ ref('stg_predictions__segments') }}

),

last_delivery as (

    select max(known_at) as last_known_at from {{ ref('stg_landing__deliveries') }}

),

contacts_in_order as (

    select
        contacts.*,
        lag(contacts.opened_at) over (
            partition by contacts.customer_key, contacts.topic
            order by contacts.opened_at, contacts.contact_id
        ) as previous_opened_at,
        lead(contacts.opened_at) over (
            partition by contacts.customer_key, contacts.topic
            order by contacts.opened_at, contacts.contact_id
        ) as next_opened_at
    from contacts

),

final as (

    select
        contacts_in_order.contact_id,
        contacts_in_order.customer_key,
        coalesce(customers.district, 'unknown') as district,
        coalesce(contacts_in_order.channel, 'unknown') as channel,
        coalesce(contacts_in_order.topic, 'unknown') as topic,
        coalesce(segments.segment_id, 'unknown') as segment_id,
        coalesce(segments.segment_name, 'Cannot say yet') as segment_name,
        coalesce(segments.segment_name_zh, '暂无法判定') as segment_name_zh,
        contacts_in_order.satisfaction,
        {{ datediff('contacts_in_order.opened_at', 'contacts_in_order.first_response_at', 'second') }} / cast(3600 as double)
            as hours_to_response,
        {{ datediff('contacts_in_order.opened_at', 'contacts_in_order.closed_at', 'second') }} / cast(3600 as double)
            as hours_to_close,
        contacts_in_order.opened_month_number,
        coalesce(
            {{ datediff('contacts_in_order.previous_opened_at', 'contacts_in_order.opened_at', 'second') }} <= 30 * 86400,
            false
        ) as is_repeat,
        -- Who asks again is known at once, who does not only after 30 days: before, there would be failures alone.
        case
            when {{ datediff('contacts_in_order.opened_at', 'last_delivery.last_known_at', 'second') }} > 30 * 86400
                then coalesce(
                    {{ datediff('contacts_in_order.opened_at', 'contacts_in_order.next_opened_at', 'second') }} > 30 * 86400,
                    true
                )
        end as is_answered_first_time
    from contacts_in_order
    cross join last_delivery
    left join customers
        on contacts_in_order.customer_key = customers.customer_key
    left join segments
        on
            contacts_in_order.customer_key = segments.customer_key
            and contacts_in_order.opened_month_number >= segments.as_of_month_number
            and (
                segments.next_month_number is null
                or contacts_in_order.opened_month_number < segments.next_month_number
            )

)

select * from final
