with contacts as (

    select * from {{ ref('stg_service__contacts') }}
    where is_latest_version

),

customers as (

    select * from {{ ref('stg_crm__customers') }}
    where is_latest_version

),

contacts_in_order as (

    select
        contacts.*,
        coalesce(customers.district, 'unknown') as district,
        lag(contacts.opened_at) over (
            partition by contacts.customer_key, contacts.topic
            order by contacts.opened_at, contacts.contact_id
        ) as previous_opened_at
    from contacts
    left join customers
        on contacts.customer_key = customers.customer_key

),

durations as (

    select
        *,
        {{ datediff('opened_at', 'closed_at', 'second') }} as seconds_to_close,
        coalesce({{ datediff('previous_opened_at', 'opened_at', 'second') }} <= 30 * 86400, false) as is_repeat
    from contacts_in_order

),

final as (

    select
        cast({{ month_start('opened_month_number') }} as date) as month,
        district,
        coalesce(channel, 'unknown') as channel,
        coalesce(topic, 'unknown') as topic,
        cast(count(*) as integer) as contacts_count,
        cast(avg(seconds_to_close) / 3600 as double) as mean_hours_to_close,
        {{ percentage('count(case when seconds_to_close <= 86400 then 1 end)', 'count(*)') }} as share_closed_24h_pct,
        cast(avg(satisfaction) as double) as mean_satisfaction,
        cast(count(case when is_repeat then 1 end) as integer) as repeat_contacts_count
    from durations
    group by 1, 2, 3, 4

)

select * from final
